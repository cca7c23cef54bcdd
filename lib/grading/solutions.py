"""What a solution notebook says: its solution regions, its questions, its checks and the answers it defines."""

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nbformat import NotebookNode

from lib.grading.tables import Row, rows_in

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
QUESTION = re.compile(
    r"^## (?P<number>\d+\.\d+) (?:★+ )?(?P<title>.*?) · (?P<points>\d+) points?$",
    re.MULTILINE,
)
TITLE = re.compile(r"^# .*", re.MULTILINE)
PERSONAL = re.compile(r'same_number\(\s*"(\w+)", "(\w+)"')


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


class CheckCall(NamedTuple):
    """What the decorator `@check(…)` of one cell says, and the points of each part that its function names."""

    question: str
    points: int
    hidden: bool
    section: str
    chapter: str
    hints: int
    parts: dict[str, int]


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
                        yield cell, _check_call(call, function)


def _check_call(call: ast.Call, function: ast.FunctionDef) -> CheckCall:
    constants = _constants(call)
    hints = next((k.value for k in call.keywords if k.arg == "hint"), None)
    return CheckCall(
        question=ast.literal_eval(call.args[0]),
        points=constants.get("points", 0),
        hidden=constants.get("hidden", False),
        section=constants.get("section", ""),
        chapter=constants.get("chapter", ""),
        hints=len(hints.elts) if isinstance(hints, ast.List) else int(bool(hints)),
        parts={
            ast.unparse(part.args[0]).strip("'"): _constants(part).get("points", 0)
            for part in ast.walk(function)
            if isinstance(part, ast.Call) and getattr(part.func, "attr", None) == "part"
        },
    )


def _constants(call: ast.Call) -> dict[str, object]:
    return {
        k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)
    }


def title_cell(notebook: NotebookNode) -> NotebookNode | None:
    """The first cell with a heading `# …`."""
    markdown = (cell for cell in notebook.cells if cell.cell_type == "markdown")
    return next((cell for cell in markdown if TITLE.match(cell.source)), None)


def questions_in(notebook: NotebookNode) -> list[Question]:
    """Every question heading, such as `## 1.1 ★ A weighted sum · 2 points`."""
    markdown = (cell for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        Question(cell, match["number"], match["title"], int(match["points"]))
        for cell in markdown
        for match in QUESTION.finditer(cell.source)
    ]


class Answer(NamedTuple):
    """A name that a learner has to define: its question, and its parameters where it is a function."""

    question: str
    parameters: str | None

    def inputs(self) -> str:
        """What a wrong or right answer is a function of: a number of one's own follows from the `student_id`."""
        return "student_id" if self.parameters is None else self.parameters


def answers_in(solution: NotebookNode) -> dict[str, Answer]:
    """Every name that a learner has to define, with the question under whose heading it stands."""
    found, question = {}, ""
    for cell in solution.cells:
        if cell.cell_type == "markdown" and (heading := QUESTION.search(cell.source)):
            question = heading["number"]
        elif cell.cell_type == "code" and BEGIN in cell.source:
            for statement in ast.parse(cell.source).body:
                for name, parameters in _defined(statement):
                    found[name] = Answer(question, parameters)
    return found


def _defined(statement: ast.stmt) -> Iterator[tuple[str, str | None]]:
    """The names that a statement defines, with the parameters of a function."""
    if isinstance(statement, ast.FunctionDef):
        yield statement.name, ast.unparse(statement.args)
    for target in getattr(statement, "targets", []):
        if hasattr(target, "id"):
            yield target.id, None


def personal_in(solution: NotebookNode) -> dict[str, str]:
    """The numbers of a learner's own, each with the function of the `student_id` that gives it."""
    sources = (cell.source for cell, _ in checks_in(solution))
    return dict(pair for source in sources for pair in PERSONAL.findall(source))


def tabled(
    solution: NotebookNode, tag: str
) -> Iterator[tuple[NotebookNode, list[Row]]]:
    """The Markdown cells with this tag, `mistakes` or `right`, and the rows of their tables."""
    for cell in solution.cells:
        if cell.cell_type == "markdown" and tag in tags(cell):
            yield cell, list(rows_in(cell.source))
