"""From solutions to exercises: `python -m lib exercises`.

The notebooks in solutions/ are the only source. From each one this module makes the notebook that the learner
gets (answers replaced by stubs, hidden checks and solution notes left out, executed, so that what is stored is
what a learner sees first) and the module `lib.grading.references.exercise_NN` (points, reference answers, known
mistakes), so that a check needs the installed package and nothing else.

Cells of a solution notebook carry these tags: `solution-note` (explains the answer, in words or code) and
`hidden-checks` are left out of the exercise; `right` (right answers in other styles, for the tests) and `mistakes`
(known wrong answers) too, and the mistakes go into the module; `given` cells stay in both. Mistakes and right answers
are rows of tables in Markdown, see `lib.grading.tables`.
"""

import argparse
import ast
import copy
import json
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib.authoring import derived
from lib.authoring.new_question import add
from lib.authoring.notebooks import RUN_FAILURES, execute, failure_lines, normalise
from lib.authoring.refusals import problems
from lib.authoring.repository import FOLDED
from lib.grading.solutions import (
    BEGIN,
    TITLE,
    Answer,
    answers_in,
    checks_in,
    personal_in,
    questions_in,
    replace_regions,
    stub,
    tags,
    title_cell,
)
from lib.grading.tables import ZOO, Row, rows_in

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {"solution-note", "hidden-checks", "mistakes", "right"}
IN_MODULE = {"mistakes", "given"}
# The learner runs a check without scrolling past its source: folded in the book too.
FOLDED_IN_BOOK = "hide-input"
# What the tables of mistakes are made of in the module.
WORDS = "from lib.grading.known import answered_by_attention, answered_by_mask, mistake"
SOLUTIONS = " (solutions)"  # the end of a solution's title


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
    parts = list(_parts_of_module(solution))
    body = "\n\n\n".join(parts)
    statements = [ast.unparse(s) for part in parts for s in ast.parse(part).body]
    questions = questions_in(solution)
    header = (
        f'"""Points, reference answers and known mistakes of exercise {name[:2]}.\n\n'
        f"Generated from solutions/{name}.ipynb by `python -m lib exercises`; edit that notebook instead.\n"
        '"""\n\n# fmt: off\n# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)'
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
    title = title_cell(solution).source.partition("\n")[0].partition(" · ")[2]
    title = title.removesuffix(SOLUTIONS)
    imports = _imports_for([*statements, *_bodies_of_checks(solution)], solution)
    return f'{header}\n\n{imports}\n\nCHAPTER = "{name}"\nTITLE = "{title}"\n{tables}\n\n\n{body}\n'


def _parts_of_module(solution: NotebookNode) -> Iterator[str]:
    """Given functions, reference answers and mistakes, in the order of the notebook."""
    answers, personal = answers_in(solution), personal_in(solution)
    for cell in solution.cells:
        if cell.cell_type == "markdown" and "mistakes" in tags(cell):
            # What is wrong with an input that a learner finds is told by rules, and its rows serve the tests alone.
            rows = [
                _known(row, answers[row.answer])
                for row in rows_in(cell.source)
                if answers[row.answer].parameters or row.answer in personal
            ]
            if rows:
                listed = "".join(f"    {row},\n" for row in rows)
                yield f"{cell.id.replace('-', '_')} = [\n{listed}]"
        elif cell.cell_type == "code" and (
            tags(cell) & IN_MODULE
            or (BEGIN in cell.source and not tags(cell) & LEFT_OUT)
        ):
            yield replace_regions(cell.source, list).strip()


def _known(row: Row, answer: Answer) -> str:
    """A row of a table of mistakes as code."""
    text = partial(json.dumps, ensure_ascii=False)
    if row.name == ZOO:
        word = "answered_by_mask" if row.of_a_mask else "answered_by_attention"
        said = [text(row.answer)] + [f"like={text(row.bug)}"] * bool(row.bug)
    else:
        word = "mistake"
        said = [text(part) for part in (row.answer, row.name, row.explanation)]
        said += [f"bug={text(row.bug)}"] * bool(row.bug)
    return f"{word}({', '.join(said)})({row.function(answer.inputs())})"


def _bodies_of_checks(solution: NotebookNode) -> Iterator[str]:
    """What the functions under `@check` and `@show` do, without their decorators."""
    for cell in solution.cells:
        if cell.cell_type == "code" and re.search(
            r"^@(check|show)\(", cell.source, re.M
        ):
            for function in ast.parse(cell.source).body:
                yield "\n".join(map(ast.unparse, getattr(function, "body", [])))


def _imports_for(sources: list[str], solution: NotebookNode) -> str:
    """The import lines that these sources need, words for mistakes included; Python's first, the course's last."""
    used = set().union(*map(_names_needed, sources))
    lines = set()
    source = "\n".join(
        cell.source
        for cell in solution.cells
        if cell.cell_type == "code"
        and cell.id != "bootstrap"
        and not tags(cell) & {"solution-note", "right"}
    )
    for line in ast.parse(f"{WORDS}\n{source}").body:
        # What asks for the answers, such as `rely_on`, is above this module.
        asks = getattr(line, "module", None) == "lib.grading.checks"
        if isinstance(line, ast.Import | ast.ImportFrom) and not asks:
            line.names = [a for a in line.names if (a.asname or a.name) in used]
            if line.names:
                lines.add(ast.unparse(line))
    groups: tuple[list[str], ...] = ([], [], [])
    for line in sorted(lines):
        package = line.split()[1].split(".")[0]
        own = 2 if package == "lib" else 1
        groups[0 if package in sys.stdlib_module_names else own].append(line)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _names_needed(source: str) -> set[str]:
    """The names that a source uses, without those that it imports itself, as a function about PyTorch does."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return {node.id for node in nodes if isinstance(node, ast.Name)} - imported


def differences(solution: NotebookNode, name: str, root: Path) -> list[str]:
    """Where the stored exercise and module differ from what the solution gives; outputs are not compared."""
    module, notebook = paths(name, root)
    reference = {module: references_from(solution, name)}
    found = derived.settle(reference, root, "exercises", check=True)
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
    reference = {module: references_from(solution, name)}
    derived.settle(reference, root, "exercises", check=False)
    nbformat.write(
        normalise(execute(exercise_from(solution), notebook.parent)), notebook
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.epilog = "Reads solutions/*.ipynb; writes exercises/*.ipynb and lib/grading/references/*.py."
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail when something differs",
    )
    action.add_argument(
        "--table",
        action="store_true",
        help="write nothing; print which wrong answer meets which feedback, and fail when one is not named",
    )
    action.add_argument(
        "--new",
        metavar="3.4",
        help="write the skeleton of this question into the notebook of its chapter in solutions/",
    )


def main(arguments: argparse.Namespace, root: Path = ROOT) -> int:
    """Write the exercises, check them, print the table or add a question; 1 for a fault, 2 when it cannot."""
    sources = sorted((root / "solutions").glob("*.ipynb"))
    if not sources:
        print(
            f"no notebook found in {root / 'solutions'}: run this from a clone of the course"
        )
        return 2
    if arguments.new:
        try:
            print(add(arguments.new, root))
        except ValueError as error:
            print(error)
            return 2
        return 0
    if arguments.table:
        from lib.authoring.feedback_table import (
            print_table,  # it imports the exercises themselves
        )

        return print_table([path.stem for path in sources], root)
    found = _orphans(root) + [
        fault for path in sources for fault in _build(path, root, check=arguments.check)
    ]
    return derived.report(
        found, f"{len(sources)} of {len(sources)} exercises follow from solutions/."
    )


def _orphans(root: Path) -> list[str]:
    return [
        f"exercises/{path.name} has no source in solutions/"
        for path in sorted((root / "exercises").glob("*.ipynb"))
        if not (root / "solutions" / path.name).exists()
    ]


def _build(path: Path, root: Path, *, check: bool) -> list[str]:
    """Write, or check, what follows from one solution; what is wrong, with the place."""
    solution = nbformat.read(path, as_version=4)
    if faults := problems(solution):
        return [f"solutions/{path.name}, {fault}" for fault in faults]
    if check:
        return differences(solution, path.stem, root)
    try:
        write(solution, path.stem, root)
    except RUN_FAILURES as error:
        return [f"exercises/{path.name} does not run:", *failure_lines(error)]
    print(f"exercises/{path.name} written")
    return []
