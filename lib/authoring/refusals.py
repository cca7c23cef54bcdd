"""What keeps a solution notebook from being an exercise: each sentence names the cell."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from nbformat import NotebookNode

from lib.grading.solutions import (
    CheckCall,
    RegionError,
    answers_in,
    checks_in,
    questions_in,
    replace_regions,
    stub,
    tabled,
    tags,
    title_cell,
)
from lib.grading.tables import ZOO, TableError, rows_in

RELIANCE = re.compile(r'rely_on\("([^"]+)", "([^"]+)"(?:, part="([^"]+)")?\)')
TOTAL = re.compile(r"\b(\d+) points\b")
# What the title cell says of hidden checks, so that one that was lost is missed.
HIDDEN = re.compile(r"^\*\*Hidden checks\*\*.*?: ([\d., ]+)\.$", re.MULTILINE)


def problems(solution: NotebookNode) -> list[str]:
    """What keeps a solution notebook from being an exercise; each entry names the cell."""
    found = [
        f"cell {id}: this id stands {n} times"
        for id, n in Counter(c.id for c in solution.cells).items()
        if n > 1
    ]
    for cell in solution.cells:
        try:
            if cell.cell_type == "code":
                replace_regions(cell.source, stub)
                ast.parse(cell.source)
            elif tags(cell) & {"mistakes", "right"}:
                list(rows_in(cell.source))
        except (RegionError, SyntaxError, TableError) as error:
            found.append(f"cell {cell.id}: {error}")
    return found or [
        *_problems_of_checks(solution),
        *_problems_of_points(solution),
        *_problems_of_parts(solution),
        *_problems_of_tables(solution),
        *_problems_of_hidden_checks(solution),
        *_problems_of_form(solution),
        *_problems_of_reliance(solution),
    ]


def _problems_of_checks(solution: NotebookNode) -> list[str]:
    """Hidden checks stand in their cells, and every question has one heading and one check of its own."""
    found = []
    questions = [question.number for question in questions_in(solution)]
    for cell, check in checks_in(solution):
        if check.hidden and "hidden-checks" not in tags(cell):
            found.append(
                f"cell {cell.id}: a hidden check outside a cell tagged hidden-checks"
            )
        if not check.hidden and "hidden-checks" in tags(cell):
            found.append(
                f"cell {cell.id}: a check without hidden=True in a cell tagged hidden-checks"
            )
        if check.question not in questions:
            found.append(
                f"cell {cell.id}: a check of question {check.question}, which has no heading"
            )
    counts = Counter(
        check.question for _, check in checks_in(solution) if not check.hidden
    )
    for cell, number, *_ in questions_in(solution):
        if counts[number] != 1 or questions.count(number) != 1:
            found.append(
                f"cell {cell.id}: question {number} has {counts[number]} checks and {questions.count(number)} "
                "headings; it needs one of each"
            )
    return found


def _problems_of_points(solution: NotebookNode) -> list[str]:
    """The points of each check equal those of its heading, and their sum the total under the title."""
    found = []
    stated = {question.number: question.points for question in questions_in(solution)}
    for cell, check in checks_in(solution):
        wanted = 0 if check.hidden else stated.get(check.question, check.points)
        if check.points != wanted:
            found.append(
                f"cell {cell.id}: the check of {check.question} gives {check.points} points, expected {wanted}"
            )
    title = title_cell(solution)
    total = TOTAL.search(title.source) if title else None
    if total is None:
        found.append(
            "no cell starts with a title `# …` and states the total, such as `12 points`"
        )
    elif int(total[1]) != sum(stated.values()):
        found.append(
            f"cell {title.id}: states {total[1]} points, but the questions add up to {sum(stated.values())}"
        )
    return found


def _problems_of_parts(solution: NotebookNode) -> Iterator[str]:
    """The name of a part begins with an answer of its question, and the points add up to those of the question."""
    answers = answers_in(solution)
    for cell, check in checks_in(solution):
        for part in check.parts:
            name = part.split()[0]
            if name not in answers or answers[name].question != check.question:
                yield f"cell {cell.id}: the part {part!r} is no answer to question {check.question}"
        if check.parts and sum(check.parts.values()) != check.points:
            yield (
                f"cell {cell.id}: the parts of {check.question} give {_sum(check)} points, expected {check.points}"
            )


def _sum(check: CheckCall) -> str:
    return " + ".join(map(str, check.parts.values()))


def _problems_of_tables(solution: NotebookNode) -> Iterator[str]:
    """Every row is about an answer, and a mistake has something to tell."""
    answers = answers_in(solution)
    for tag in ("mistakes", "right"):
        for cell, rows in tabled(solution, tag):
            for row in rows:
                if row.answer not in answers:
                    yield f"cell {cell.id}: a table about {row.answer!r}, which no question asks for"
                elif tag == "mistakes" and row.name != ZOO and not row.explanation:
                    yield f"cell {cell.id}: row {row.name!r} does not say what the learner reads"


def _problems_of_hidden_checks(solution: NotebookNode) -> Iterator[str]:
    """The title cell names the questions that have a hidden check, so none can be lost unseen."""
    title = title_cell(solution)
    line = HIDDEN.search(title.source) if title else None
    stated = [part.strip() for part in line[1].split(",")] if line else []
    there = [check.question for _, check in checks_in(solution) if check.hidden]
    if title and stated != there:
        yield (
            f"cell {title.id}: says that the hidden checks are {stated}, but they are {there}; write: "
            f"**Hidden checks** …: {', '.join(there)}."
        )


def _problems_of_form(solution: NotebookNode) -> Iterator[str]:
    """A question says what is given, wanted and allowed and where to read; its check has a section and three hints."""
    for cell, number, *_ in questions_in(solution):
        text = cell.source
        for part in ("Given", "Wanted", "Allowed", "Read"):
            if f"\n- **{part}:** " not in text:
                yield f"cell {cell.id}: question {number} has no line `- **{part}:** …`"
        reading = text.partition("- **Read:** ")[2].partition("\n")[0]
        if reading.count("](../notebooks/") != reading.count(" ([Colab]("):
            yield (
                f"cell {cell.id}: a link of {number} leads nowhere on Colab; write ` ([Colab]())` behind it and run "
                "`python -m lib repository`"
            )
        task = text.partition("\n")[2].partition("\n- **")[0]
        if (count := _sentences(task)) != 3:
            yield f"cell {cell.id}: the task of {number} has {count} sentences; expected 3"
    for cell, check in checks_in(solution):
        if not check.hidden and check.hints != 3:
            yield (
                f"cell {cell.id}: the check of {check.question} has {check.hints} hints; expected a list of 3: a "
                "question, an idea, a piece of code"
            )
        if not check.hidden and not check.section:
            yield f"cell {cell.id}: the check of {check.question} names no section to read again"


def _problems_of_reliance(solution: NotebookNode) -> Iterator[str]:
    """A cell relies on answers that a learner gives, and on the part of the question that judges them."""
    answers = answers_in(solution)
    parts = {c.question: c.parts for _, c in checks_in(solution) if not c.hidden}
    for cell in solution.cells:
        if cell.cell_type == "code":
            for question, name, part in RELIANCE.findall(cell.source):
                if name not in answers or answers[name].question != question:
                    yield f"cell {cell.id}: relies on {name!r}, which is no answer to question {question}"
                    continue
                named = parts.get(question, {})
                if (part or named) and (part or name) not in named:
                    yield (
                        f"cell {cell.id}: relies on the part {part or name!r}, which question {question} has not; "
                        f'write part="…" with one of: {", ".join(named)}'
                    )


def _sentences(text: str) -> int:
    """How many sentences a paragraph has; what stands in formulas and code does not count."""
    plain = re.sub(r"\$[^$]*\$|`[^`]*`", "x", text)
    return len(re.findall(r"[.?!](?=\s|$)", plain))
