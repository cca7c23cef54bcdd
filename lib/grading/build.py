"""From solutions to exercises: `python -m lib exercises`.

The notebooks in solutions/ are the only source. From each one this module makes the notebook that the learner
gets (answers replaced by stubs, hidden checks and solution notes left out, executed, so that what is stored is
what a learner sees first) and the module `lib.grading.references.exercise_NN` (points, reference answers, known
mistakes), so that a check needs the installed package and nothing else.

Cells of a solution notebook carry these tags: `solution-note` (explains the answer, in words or code) and
`hidden-checks` are left out of the exercise; `mistakes` (known wrong answers) too, and they go into the module;
`given` cells stay in both.
"""

import argparse
import ast
import copy
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from lib.notebooks import RUN_FAILURES, execute, failure_lines, normalise
from lib.repository import FOLDED

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
LEFT_OUT = {"solution-note", "hidden-checks", "mistakes"}
IN_MODULE = {"mistakes", "given"}
# The learner runs a check without scrolling past its source: folded in the book too.
FOLDED_IN_BOOK = "hide-input"
QUESTION = re.compile(
    r"^## (?P<number>\d+\.\d+) (?:★+ )?(?P<title>.*?) · (?P<points>\d+) points?$",
    re.MULTILINE,
)
TITLE = re.compile(r"^# .*", re.MULTILINE)
SOLUTIONS = " (solutions)"
TOTAL = re.compile(r"\b(\d+) points\b")
# What the title cell says of hidden checks, so that one that was lost is missed.
HIDDEN = re.compile(r"^\*\*Hidden checks\*\*.*?: ([\d., ]+)\.$", re.MULTILINE)


class RegionError(ValueError):
    """The markers of a solution region do not fit together."""


def tags(cell: NotebookNode) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def replace_regions(source: str, replace: Callable[[list[str]], list[str]]) -> str:
    """The source with the lines of every solution region replaced by `replace(lines)`, without the markers."""
    kept: list[str] = []
    region: list[str] | None = None
    for line in source.splitlines():
        if line.strip() == BEGIN:
            if region is not None:
                raise RegionError(f"a second `{BEGIN}` before `{END}`")
            region = []
        elif line.strip() == END:
            if region is None:
                raise RegionError(f"`{END}` without `{BEGIN}`")
            kept += replace(region)
            region = None
        else:
            (kept if region is None else region).append(line)
    if region is not None:
        raise RegionError(f"`{BEGIN}` without `{END}`")
    return "\n".join(kept)


def stub(region: list[str]) -> list[str]:
    """What the learner finds in place of the answer: runs without a traceback and counts as not solved.

    A region that returns becomes `return ...`; one that assigns becomes `name = ...` for each of its names.
    """
    if not any(line.strip() for line in region):
        raise RegionError("an empty solution region")
    indent = region[0][: len(region[0]) - len(region[0].lstrip())]
    try:
        body = ast.parse(textwrap.dedent("\n".join(region))).body
    except SyntaxError as error:
        raise RegionError(
            f"a solution region that is not Python by itself: {error.msg}"
        ) from error
    if not indent and any(isinstance(statement, ast.FunctionDef) for statement in body):
        raise RegionError(
            "a solution region around a whole function: its signature would be lost"
        )
    names = [
        target.id
        for statement in body
        for target in getattr(statement, "targets", [])
        if hasattr(target, "id")
    ]
    if any(
        isinstance(node, ast.Return)
        for statement in body
        for node in ast.walk(statement)
    ):
        lines = ["return ..."]
    else:
        lines = [f"{name} = ..." for name in dict.fromkeys(names)] or ["..."]
    return [f"{indent}{line}  # your answer here" for line in lines]


def exercise_from(solution: NotebookNode) -> NotebookNode:
    """The learner's notebook: same cells and ids, without the answers and without outputs."""
    exercise = copy.deepcopy(solution)
    exercise.cells = [cell for cell in exercise.cells if not tags(cell) & LEFT_OUT]
    checks = {cell.id for cell, _ in checks_in(exercise)}
    for cell in exercise.cells:
        if cell.cell_type == "code":
            cell.source = replace_regions(cell.source, stub)
            cell.outputs, cell.execution_count = [], None
        elif cell.id == "colab-badge":
            cell.source = cell.source.replace("solutions/", "exercises/")
        elif TITLE.match(cell.source):
            title, *rest = cell.source.split("\n")
            cell.source = "\n".join([title.removesuffix(SOLUTIONS), *rest])
        if cell.id in checks:
            cell.metadata.update(
                FOLDED, tags=[*cell.metadata.get("tags", []), FOLDED_IN_BOOK]
            )
    return exercise


def references_from(solution: NotebookNode, name: str) -> str:
    """Source of the module with points, reference answers, given functions and known mistakes."""
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    kept = [
        c
        for c in code
        if tags(c) & IN_MODULE or (BEGIN in c.source and not tags(c) & LEFT_OUT)
    ]
    body = "\n\n\n".join(replace_regions(cell.source, list).strip() for cell in kept)
    questions = _questions_in(solution)
    header = (
        f'"""Points, reference answers and known mistakes of exercise {name[:2]}.\n\n'
        f"Generated from solutions/{name}.ipynb by `python -m lib exercises`; edit that notebook instead.\n"
        '"""\n\n# ruff: noqa: F401 (some names serve the checks, which run with the names of this module)'
    )
    tables = "\n".join(
        f"{table} = {{\n"
        + "".join(
            f'    "{q.number}": {json.dumps(value(q), ensure_ascii=False)},\n'
            for q in questions
        )
        + "}"
        for table, value in (
            ("TITLES", lambda q: q.title),
            ("POINTS", lambda q: q.points),
        )
    )
    title = _title_cell(solution).source.partition("\n")[0].partition(" · ")[2]
    title = title.removesuffix(SOLUTIONS)
    imports = _imports_for([body, *_bodies_of_checks(solution)], code)
    return f'{header}\n\n{imports}\n\nCHAPTER = "{name}"\nTITLE = "{title}"\n{tables}\n\n\n{body}\n'


def _bodies_of_checks(solution: NotebookNode) -> Iterator[str]:
    """What the check functions do, without their decorators."""
    for cell, _ in checks_in(solution):
        for function in ast.parse(cell.source).body:
            yield "\n".join(map(ast.unparse, getattr(function, "body", [])))


def _imports_for(sources: list[str], code: list[NotebookNode]) -> str:
    """The notebook's import lines that these sources need, other packages first."""
    used = {
        node.id
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name)
    }
    lines = set()
    source = "\n".join(cell.source for cell in code if cell.id != "bootstrap")
    for line in ast.parse(source).body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            line.names = [a for a in line.names if (a.asname or a.name) in used]
            if line.names:
                lines.add(ast.unparse(line))
    own = sorted(line for line in lines if line.split()[1].split(".")[0] == "lib")
    others = sorted(lines - set(own))
    return "\n\n".join("\n".join(group) for group in (others, own) if group)


class CheckCall(NamedTuple):
    """What the decorator `@check(…)` of one cell says."""

    question: str
    points: int
    hidden: bool
    section: str
    hints: int


class Question(NamedTuple):
    """What the heading of a question says, and the cell in which it stands."""

    cell: NotebookNode
    number: str
    title: str
    points: int


def checks_in(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, CheckCall]]:
    """Every `@check(…)` of the notebook, with the cell in which it stands."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "@check" in cell.source:
            for function in ast.parse(cell.source).body:
                for call in getattr(function, "decorator_list", []):
                    if getattr(getattr(call, "func", None), "id", None) == "check":
                        yield cell, _check_call(call)


def _check_call(call: ast.Call) -> CheckCall:
    constants = {
        k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)
    }
    hints = next((k.value for k in call.keywords if k.arg == "hint"), None)
    return CheckCall(
        question=ast.literal_eval(call.args[0]),
        points=constants.get("points", 0),
        hidden=constants.get("hidden", False),
        section=constants.get("section", ""),
        hints=len(hints.elts) if isinstance(hints, ast.List) else int(bool(hints)),
    )


def problems(solution: NotebookNode) -> list[str]:
    """What keeps a solution notebook from being an exercise; each entry names the cell."""
    found = [
        f"cell {id}: this id stands {n} times"
        for id, n in Counter(c.id for c in solution.cells).items()
        if n > 1
    ]
    for cell in solution.cells:
        if cell.cell_type == "code":
            try:
                replace_regions(cell.source, stub)
                ast.parse(cell.source)
            except (RegionError, SyntaxError) as error:
                found.append(f"cell {cell.id}: {error}")
    return found or [
        *_problems_of_checks(solution),
        *_problems_of_points(solution),
        *_problems_of_hidden_checks(solution),
        *_problems_of_form(solution),
    ]


def _problems_of_checks(solution: NotebookNode) -> list[str]:
    """Hidden checks stand in their cells, and every question has one heading and one check of its own."""
    found = []
    questions = [question.number for question in _questions_in(solution)]
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
    for cell, number, *_ in _questions_in(solution):
        if counts[number] != 1 or questions.count(number) != 1:
            found.append(
                f"cell {cell.id}: question {number} has {counts[number]} checks and {questions.count(number)} "
                "headings; it needs one of each"
            )
    return found


def _problems_of_points(solution: NotebookNode) -> list[str]:
    """The points of each check equal those of its heading, and their sum the total under the title."""
    found = []
    stated = {question.number: question.points for question in _questions_in(solution)}
    for cell, check in checks_in(solution):
        wanted = 0 if check.hidden else stated.get(check.question, check.points)
        if check.points != wanted:
            found.append(
                f"cell {cell.id}: the check of {check.question} gives {check.points} points, expected {wanted}"
            )
    title = _title_cell(solution)
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


def _problems_of_hidden_checks(solution: NotebookNode) -> Iterator[str]:
    """The title cell names the questions that have a hidden check, so none can be lost unseen."""
    title = _title_cell(solution)
    line = HIDDEN.search(title.source) if title else None
    stated = [part.strip() for part in line[1].split(",")] if line else []
    there = [check.question for _, check in checks_in(solution) if check.hidden]
    if title and stated != there:
        yield (
            f"cell {title.id}: says that the hidden checks are {stated}, but they are {there}; write: "
            f"**Hidden checks** …: {', '.join(there)}."
        )


def _problems_of_form(solution: NotebookNode) -> Iterator[str]:
    """A question says what is given, wanted and allowed and where to read; its check has a section and two hints."""
    for cell, number, *_ in _questions_in(solution):
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
        if not check.hidden and check.hints != 2:
            yield f"cell {cell.id}: the check of {check.question} has {check.hints} hints; expected a list of 2"
        if not check.hidden and not check.section:
            yield f"cell {cell.id}: the check of {check.question} names no section to read again"


def _sentences(text: str) -> int:
    """How many sentences a paragraph has; what stands in formulas and code does not count."""
    plain = re.sub(r"\$[^$]*\$|`[^`]*`", "x", text)
    return len(re.findall(r"[.?!](?=\s|$)", plain))


def _title_cell(notebook: NotebookNode) -> NotebookNode | None:
    """The first cell with a heading `# …`."""
    markdown = (cell for cell in notebook.cells if cell.cell_type == "markdown")
    return next((cell for cell in markdown if TITLE.match(cell.source)), None)


def _questions_in(notebook: NotebookNode) -> list[Question]:
    """Every question heading, such as `## 1.1 ★ A weighted sum · 2 points`."""
    markdown = (cell for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        Question(cell, match["number"], match["title"], int(match["points"]))
        for cell in markdown
        for match in QUESTION.finditer(cell.source)
    ]


def answers_in(solution: NotebookNode) -> dict[str, str]:
    """Every name that a learner has to define, with the question under whose heading it stands."""
    found, question = {}, ""
    for cell in solution.cells:
        if cell.cell_type == "markdown" and (heading := QUESTION.search(cell.source)):
            question = heading["number"]
        elif cell.cell_type == "code" and BEGIN in cell.source:
            for statement in ast.parse(cell.source).body:
                names = getattr(statement, "targets", [statement])
                found |= {
                    name: question for name in map(_name_of, names) if name is not None
                }
    return found


def _name_of(node: ast.AST) -> str | None:
    return getattr(node, "name", getattr(node, "id", None))


def differences(solution: NotebookNode, name: str, root: Path) -> list[str]:
    """Where the stored exercise and module differ from what the solution gives; outputs are not compared."""
    module, notebook = paths(name, root)
    found = []
    if not module.exists() or module.read_text(encoding="utf-8") != references_from(
        solution, name
    ):
        found.append(f"{module.relative_to(root)} differs from solutions/{name}.ipynb")
    if not notebook.exists():
        return [*found, f"{notebook.relative_to(root)} does not exist"]
    wanted = [_essence(cell) for cell in exercise_from(solution).cells]
    stored = [_essence(cell) for cell in nbformat.read(notebook, as_version=4).cells]
    if [cell["id"] for cell in wanted] != [cell["id"] for cell in stored]:
        return [
            *found,
            f"{notebook.relative_to(root)} has other cells than solutions/{name}.ipynb gives",
        ]
    found += [
        f"{notebook.relative_to(root)}, cell {new['id']}: differs from solutions/{name}.ipynb"
        for new, old in zip(wanted, stored, strict=True)
        if new != old
    ]
    return found


def _essence(cell: NotebookNode) -> dict:
    """What of a cell must be the same; outputs and counts are not."""
    return {key: cell[key] for key in ("id", "cell_type", "source", "metadata")}


def paths(name: str, root: Path) -> tuple[Path, Path]:
    """Where the module and the exercise notebook of a solution are kept."""
    return (
        root / f"lib/grading/references/exercise_{name[:2]}.py",
        root / f"exercises/{name}.ipynb",
    )


def write(solution: NotebookNode, name: str, root: Path) -> None:
    """Write the module, then the exercise as it looks when it has been run."""
    module, notebook = paths(name, root)
    module.parent.mkdir(parents=True, exist_ok=True)
    notebook.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(references_from(solution, name), encoding="utf-8")
    nbformat.write(
        normalise(execute(exercise_from(solution), notebook.parent)), notebook
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.epilog = "Reads solutions/*.ipynb; writes exercises/*.ipynb and lib/grading/references/*.py."
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail when something differs",
    )


def main(arguments: argparse.Namespace, root: Path = ROOT) -> int:
    """Write the exercises or check them; 1 when a solution has problems or something differs, 2 without solutions."""
    sources = {path.name for path in (root / "solutions").glob("*.ipynb")}
    if not sources:
        print(
            f"no notebook found in {root / 'solutions'}: run this from a clone of the course"
        )
        return 2
    found = [
        f"exercises/{path.name} has no source in solutions/"
        for path in sorted((root / "exercises").glob("*.ipynb"))
        if path.name not in sources
    ]
    for path in sorted((root / "solutions").glob("*.ipynb")):
        solution = nbformat.read(path, as_version=4)
        faults = problems(solution)
        found += [f"solutions/{path.name}, {fault}" for fault in faults]
        if faults:
            continue
        if arguments.check:
            found += differences(solution, path.stem, root)
        else:
            try:
                write(solution, path.stem, root)
                print(f"exercises/{path.name} written")
            except RUN_FAILURES as error:
                found += [f"exercises/{path.name} does not run:", *failure_lines(error)]
    for line in found:
        print(line)
    if arguments.check:
        print(
            "`python -m lib exercises` writes exercises/ from solutions/ again."
            if found
            else f"{len(sources)} of {len(sources)} exercises follow from solutions/."
        )
    return 1 if found else 0
