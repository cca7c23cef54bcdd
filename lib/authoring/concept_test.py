"""The concept test: ten questions before the course and ten parallel ones after it.

``book/concept_test.yml`` holds the questions, and the belief behind each wrong answer; ``python -m lib concept_test``
writes the two pages from it. ``--check`` fails when a question is not in order or a page is out of date. In a page the
answers are folded, so that they can be read anywhere; in the book a script makes choices of them and counts.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from lib.authoring import derived
from lib.authoring.ledger import astray, headings
from lib.bugs import ZOO
from lib.markdown import slug

SOURCE = "book/concept_test.yml"
FORMS = ("before", "after")
CHAPTER = re.compile(r"notebooks/(\d+)_")
FIELDS = {
    "belief": ("says", "page", "heading", "exhibit"),
    "question": ("idea", "read", "before", "after"),
    "answer": ("says", "belief", "why"),
    "right answer": ("says", "right", "why"),
}
HEADS = {
    "before": """\
# Before you start: ten questions

What do you believe about masks before you have read about them? Here are ten questions, and after the last chapter \
[ten others](concept_test_after.md) about the same ideas. They take about a quarter of an hour. Answer as you think, \
and leave open what you could only guess: by mere guessing one gets two or three right.

**What you need to know.** A model reads a text and makes one output for each word: a weighted mean of *values*, one \
value for each word that it may read. The weights are made from *scores*. A score $s$ counts as $e^s$, and the weight \
is that number divided by the sum of all of them (the *softmax*), so the weights sum to one. A *mask* says who may \
read whom. With the *causal* mask a word may read itself and what stands before it, and nothing later.

At the end the page counts, names the belief behind each wrong answer, and says where to read on. It does so by \
itself: nothing is sent anywhere. Your first score stays in this browser, so that the page after the last chapter can \
set its own beside it; a button forgets it. {unfold}
""",
    "after": """\
# After the last chapter: ten questions

Ten questions about the same ideas as the [ten before the course](concept_test_before.md), in another dress. They take \
about a quarter of an hour. Leave open what you could only guess. At the end the page counts and says where to read \
once more; nothing is sent anywhere. {unfold}
""",
}
UNFOLD = "(Without a script the answers are folded: unfold the one that you choose.)"
COUNT = "Count the answers that you chose and that begin with *Right*."  # the script counts by itself


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m lib concept_test``."""
    derived.add_check(parser)


def main(arguments: argparse.Namespace) -> int:
    """Write the two pages, or check them; 0 when all is well, 2 outside of the course's folder."""
    root = Path.cwd()
    if not (root / SOURCE).is_file():
        print(
            f"{SOURCE} is not here; run this in the root folder of the repository",
            file=sys.stderr,
        )
        return 2
    test = read(root)
    faults = problems(test, root)
    if not faults:
        wanted = {page(root, form): render(test, form) for form in FORMS}
        faults = derived.settle(wanted, root, "concept_test", check=arguments.check)
    count = len(test["questions"])
    return derived.report(
        faults, f"{SOURCE}: its {count} questions are in order, before and after."
    )


def read(root: Path) -> dict:
    """The beliefs and the questions below `root`, as the file has them."""
    return yaml.safe_load((root / SOURCE).read_text(encoding="utf-8"))


def page(root: Path, form: str) -> Path:
    """The page of one form of the test, 'before' or 'after'."""
    return root / f"book/concept_test_{form}.md"


def problems(test: dict, root: Path) -> list[str]:
    """Everything that is wrong with the questions, one sentence each; an empty list means that all is well."""
    faults = [fault for part in _parts(test) if (fault := _wrong_fields(*part))]
    if not faults:
        faults = _astray(test, root)
        for question in test["questions"]:
            faults += [f"question {question['idea']!r}: {f}" for f in _faults(question)]
        uses = Counter(b for q in test["questions"] for b in _beliefs(q, "before"))
        faults += [
            f"belief {name}: expected in one question, found in {uses[name]}"
            for name in sorted(uses | test["beliefs"].keys())
            if uses[name] != 1 or name not in test["beliefs"]
        ]
    return [f"{SOURCE}: {fault}" for fault in faults]


def _parts(test: dict) -> Iterator[tuple[str, dict, str]]:
    """Each part of the file: its name, what it holds, and which of FIELDS it must have."""
    for name, belief in test["beliefs"].items():
        yield f"belief {name}", belief, "belief"
    for number, question in enumerate(test["questions"], start=1):
        yield f"question {number}", question, "question"
        for form in FORMS:
            for answer in question.get(form, {}).get("answers", []):
                kind = "right answer" if "right" in answer else "answer"
                yield f"question {number}, {form}, an answer", answer, kind


def _wrong_fields(name: str, part: dict, kind: str) -> str:
    """A sentence where the part lacks a field or has another one; else nothing."""
    if set(part) == set(FIELDS[kind]):
        return ""
    return (
        f"{name} has the fields {', '.join(part)}; expected {', '.join(FIELDS[kind])}"
    )


def _astray(test: dict, root: Path) -> list[str]:
    """What names a page, a heading or an exhibit that is not there."""
    headings_of = cache(headings)  # each file is read once
    places = {f"belief {name}": belief for name, belief in test["beliefs"].items()}
    places |= {f"question {q['idea']!r}": q["read"] for q in test["questions"]}
    faults = []
    for name, place in places.items():
        faults += [f"{name}: {fault}" for fault in astray(place, root, headings_of)]
        if not CHAPTER.match(place["page"]):
            faults.append(f"{name}: {place['page']} is no chapter of notebooks/")
        if place.get("exhibit") not in {None, *ZOO}:
            faults.append(f"{name}: the zoo has no exhibit {place['exhibit']!r}")
    return faults


def _faults(question: dict) -> list[str]:
    """What is wrong with the answers of one question in its two forms."""
    faults = []
    for form in FORMS:
        right = sum("right" in answer for answer in question[form]["answers"])
        if right != 1:
            faults.append(f"{form} has {right} right answers, expected one")
    if _beliefs(question, "before") != _beliefs(question, "after"):
        faults.append("before and after have different beliefs behind their answers")
    return faults


def _beliefs(question: dict, form: str) -> list[str]:
    return sorted(a["belief"] for a in question[form]["answers"] if "belief" in a)


def render(test: dict, form: str) -> str:
    """The page of one form as Markdown."""
    head = HEADS[form].format(unfold=UNFOLD)
    parts = [
        f"<!-- Generated by `python -m lib concept_test` from {SOURCE}: edit that file, not this page. -->\n{head}"
    ]
    for number, question in enumerate(test["questions"], start=1):
        read, asked = question["read"], question[form]
        parts += [f"## Question {number}", '<div class="question">', asked["asks"]]
        parts += [_answer(a, read, test["beliefs"]) for a in asked["answers"]]
        parts.append("</div>")
    parts += ["## Your score", f'<div class="score" data-form="{form}">', COUNT]
    return "\n\n".join([*parts, "</div>\n"])


def _answer(answer: dict, read: dict, beliefs: dict) -> str:
    """One folded answer: what it says, what one believes who gives it, why it is right or not, where to read on."""
    if "belief" in answer:
        read = beliefs[answer["belief"]]
        belief = f'Behind it: <em class="belief">{read["says"]}</em> {answer["why"]}'
        opening = f'<details class="answer" data-belief="{answer["belief"]}">'
    else:
        belief = f"**Right.** {answer['why']}"
        opening = '<details class="answer right">'
    return "\n\n".join(
        [
            f"{opening}<summary>{answer['says']}</summary>",
            belief,
            f'<span class="read-on">{_read_on(read)}</span>',
            "</details>",
        ]
    )


def _read_on(place: dict) -> str:
    number = int(CHAPTER.match(place["page"])[1])
    address = f"../{place['page']}#{slug(place['heading'])}"
    links = f"Read on in [chapter {number}, section {place['heading']}]({address})"
    if exhibit := place.get("exhibit"):
        title = ZOO[exhibit].title
        links += f"; in the zoo: [{title}](bug_zoo.md#{slug(title)})"
    return f"{links}."
