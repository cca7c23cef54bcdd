"""The concept test: every number in it is computed, and what is not in order is refused."""

import copy
import re
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from course_copy import ROOT

from lib import masks
from lib.__main__ import main
from lib.authoring import concept_test
from lib.models import Decoder, die, drawer, honest, parallel, train
from lib.numpy_attention import attention
from lib.numpy_attention import softmax as softmax_of_floats
from lib.tiles import n_pairs, receptive_field

TEST = concept_test.read(ROOT)
ASKED = {
    f"{question['idea']}, {form}": question[form]
    for question in TEST["questions"]
    for form in concept_test.FORMS
}
HEADINGS = cache(concept_test.headings)
NUMBER = re.compile(
    r"(?<![\w^])\d+(?:,\d{3})*(?:\.\d+)?"
)  # 1,001 and 0.21, no exponents


# ---- what the expressions of the file are made of ----


def softmax(scores):
    return softmax_of_floats(np.asarray(scores, float))


def hidden_late(scores, values):
    """The output of a row whose weights from the third on are set to zero after the softmax."""
    weights = softmax(scores)
    weights[2:] = 0
    return weights @ values


def chosen(scores, keep):
    """The numbers, from 1, of the `keep` words with the largest scores."""
    return {int(word) + 1 for word in np.argsort(scores)[-keep:]}


def looks_ahead(mask, n):
    """How many of n queries may read a later key."""
    return int((mask & ~masks.causal).dense(n).any(axis=1).sum())


def reach(mask, layers):
    """How many positions back lies the furthest one that the last output depends on."""
    return 99 - int(receptive_field([mask] * layers, 99).min())


class Losses(NamedTuple):
    parallel: float
    honest: float


@cache
def unmasked(kinds, mask):
    """The two losses of a small model that learned to predict a die under this mask."""

    def throws(batch, *, generator):
        return die(batch, kinds=kinds, generator=generator)

    model, new = Decoder(kinds, layers=1), throws(1000, generator=drawer(7))
    train(model, mask, throws, steps=100)
    return Losses(parallel(model, mask, new).loss, honest(model, mask, new).loss)


NUMPY = ("allclose", "array", "exp", "finfo", "inf", "isfinite", "log", "ones")
WORDS = {name: getattr(np, name) for name in NUMPY}
WORDS |= {name: getattr(masks, name) for name in ("causal", "full", "window", "local")}
WORDS |= {name: getattr(masks, name) for name in ("prefix", "padding", "block_causal")}
for function in (softmax, hidden_late, chosen, looks_ahead, reach, unmasked):
    WORDS[function.__name__] = function
WORDS |= {"attention": attention, "n_pairs": n_pairs}


def value(expression):
    with np.errstate(invalid="ignore"):
        return eval(expression, dict(WORDS))


def numbers_in(text):
    return set(NUMBER.findall(text))


# ---- the questions of the course ----


@pytest.mark.parametrize("name", ASKED)
def test_every_number_of_an_answer_is_given_or_computed(name):
    asked = ASKED[name]
    computed = {str(number) for number in asked.get("numbers", {})}
    given = numbers_in(asked["asks"])
    stated = {}
    for answer in asked["answers"]:
        stated |= {text: numbers_in(text) for text in (answer["says"], answer["why"])}
        if answer.get("right") and stated[answer["says"]] and computed:
            assert computed & stated[answer["says"]], "what is right is computed"
    for text, numbers in stated.items():
        assert numbers <= computed | given, text
    assert computed <= set().union(*stated.values()), "computed, and stated nowhere"
    assert asked.get("numbers") or asked.get("holds"), "nothing here is checked"


@pytest.mark.parametrize("name", ASKED)
def test_the_numbers_are_those_of_the_course(name):
    for printed, expression in ASKED[name].get("numbers", {}).items():
        digits = str(printed).replace(",", "")
        decimals = len(digits.partition(".")[2])
        found = float(value(str(expression)))
        assert round(found, decimals) == float(digits), expression
    for expression in ASKED[name].get("holds", []):
        assert value(expression), expression


def test_the_test_has_ten_questions_with_four_answers_each():
    assert len(TEST["questions"]) == 10
    assert {len(asked["answers"]) for asked in ASKED.values()} == {4}


@pytest.mark.parametrize("form", concept_test.FORMS)
def test_neither_place_nor_length_gives_the_right_answer_away(form):
    places, longest = [], 0
    for question in TEST["questions"]:
        answers = question[form]["answers"]
        (right,) = (i for i, answer in enumerate(answers) if answer.get("right"))
        lengths = [len(answer["says"]) for answer in answers]
        places.append(right)
        longest += lengths[right] == max(lengths)
    assert set(places) == {0, 1, 2, 3}
    assert max(places.count(place) for place in places) <= 4
    assert longest <= 4


def test_before_and_after_differ_in_all_they_show():
    for question in TEST["questions"]:
        before, after = question["before"], question["after"]
        assert before["asks"] != after["asks"]
        said = [
            {a["says"].strip("… ") for a in form["answers"]} for form in (before, after)
        ]
        assert not said[0] & said[1] - {"None."}, question["idea"]


def test_the_questions_are_about_every_chapter():
    pages = {belief["page"] for belief in TEST["beliefs"].values()}
    assert {int(page.split("/")[1][:2]) for page in pages} == set(range(1, 10))


# ---- the tool ----


def test_the_pages_follow_from_the_file(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["concept_test", "--check"]) == 0
    assert "its 10 questions are in order" in capsys.readouterr().out


def test_the_pages_have_every_word_in_order():
    for form in concept_test.FORMS:
        text = concept_test.page(ROOT, form).read_text(encoding="utf-8")
        place = 0
        for question in TEST["questions"]:
            place = text.index(question[form]["asks"], place)
            for answer in question[form]["answers"]:
                place = text.index(f"<summary>{answer['says']}</summary>", place)
                place = text.index(answer["why"], place)
                if belief := TEST["beliefs"].get(answer.get("belief")):
                    assert belief["says"] in text[:place]


def test_an_old_page_is_noticed_and_written_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["concept_test", "--check"]) == 2
    assert "root folder" in capsys.readouterr().err
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    source = (ROOT / concept_test.SOURCE).read_text(encoding="utf-8")
    (tmp_path / concept_test.SOURCE).write_text(source, encoding="utf-8")
    assert main(["concept_test", "--check"]) == 1
    assert main(["concept_test"]) == 0
    assert main(["concept_test", "--check"]) == 0
    changed = source.replace("About 0.21.", "About 0.22.")
    (tmp_path / concept_test.SOURCE).write_text(changed, encoding="utf-8")
    assert main(["concept_test", "--check"]) == 1
    assert "concept_test_before.md: differs" in capsys.readouterr().out


def _no_page(test):
    test["beliefs"]["zero_is_nothing"]["page"] = "notebooks/00_nothing.ipynb"


def _no_heading(test):
    test["questions"][0]["read"]["heading"] = "2 Zero"


def _no_exhibit(test):
    test["beliefs"]["zero_is_nothing"]["exhibit"] = "nobody"


def _two_right(test):
    test["questions"][0]["after"]["answers"][0] = {"says": "", "right": True, "why": ""}


def _neither(test):
    del test["questions"][0]["after"]["answers"][0]["belief"]


def _both(test):
    test["questions"][0]["after"]["answers"][0]["right"] = True


def _no_twin(test):
    del test["questions"][0]["after"]


def _no_place(test):
    del test["beliefs"]["zero_is_nothing"]["heading"]


def _not_parallel(test):
    answers = test["questions"][0]["after"]["answers"]
    answers[0]["belief"] = answers[2]["belief"]


def _unknown_belief(test):
    for form in concept_test.FORMS:
        for answer in test["questions"][0][form]["answers"]:
            if answer.get("belief") == "zero_is_nothing":
                answer["belief"] = "unheard_of"


def _belief_used_twice(test):
    test["questions"].append(test["questions"][0])


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_no_page, "belief zero_is_nothing: there is no page notebooks/00_nothing"),
        (_no_heading, "question 'a score of zero is a score': notebooks/02"),
        (_no_exhibit, "the zoo has no exhibit 'nobody'"),
        (_two_right, "after has 2 right answers, expected one"),
        (
            _neither,
            "question 1, after, an answer has the fields says, why; expected says, be",
        ),
        (
            _both,
            "an answer has the fields says, belief, why, right; expected says, right, why",
        ),
        (
            _no_twin,
            "question 1 has the fields idea, read, before; expected idea, read, before, a",
        ),
        (
            _no_place,
            "belief zero_is_nothing has the fields says, page, exhibit; expected says, p",
        ),
        (_not_parallel, "before and after have different beliefs"),
        (_unknown_belief, "belief unheard_of: expected in one question, found in 1"),
        (
            _unknown_belief,
            "belief zero_is_nothing: expected in one question, found in 0",
        ),
        (
            _belief_used_twice,
            "belief zero_is_nothing: expected in one question, found in 2",
        ),
    ],
)
def test_what_is_not_in_order_is_told(spoil, complaint, monkeypatch):
    monkeypatch.setattr(concept_test, "headings", HEADINGS)
    test = copy.deepcopy(TEST)
    assert concept_test.problems(test, ROOT) == []
    spoil(test)
    assert any(complaint in fault for fault in concept_test.problems(test, ROOT))
