"""The tables of a solution notebook: known mistakes, or right answers, one a row.

In a Markdown cell with the tag `mistakes` or `right` stands, for each answer, a table such as::

    | `weighted_sum` | as code | what the learner reads | zoo |
    |---|---|---|---|
    | plain average | `values.mean(axis=0)` | This is the plain average. … | |
    | *zoo* | `attend(…)` | | |

The code is one expression of the answer's parameters; what needs more is a function in a code cell of the same tag.
The last column names a bug of the zoo. The row *zoo* tells how the answer follows from an attention function `attend`,
or from a mask, `allowed(n_q, n_k)`. A table of right answers has the first two columns alone.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

ZOO = "*zoo*"


class TableError(ValueError):
    """A table of a solution notebook that cannot be read."""


class Row(NamedTuple):
    """One row: the answer it is about, a name, an expression, what the learner reads, a bug of the zoo."""

    answer: str
    name: str
    code: str
    explanation: str = ""
    bug: str = ""

    def function(self, parameters: str) -> str:
        """The row as a function of the answer's parameters, in Python."""
        function = f"lambda {parameters}: {self.code}"
        if self.name != ZOO:
            return function
        return f"lambda {'allowed' if self.of_a_mask else 'attend'}: {function}"

    @property
    def of_a_mask(self) -> bool:
        """Whether this row *zoo* makes the answer out of a mask."""
        nodes = ast.walk(ast.parse(self.code, mode="eval"))
        return any(getattr(node, "id", None) == "allowed" for node in nodes)


def rows_in(source: str) -> Iterator[Row]:
    """The rows of all tables in the source of a Markdown cell; TableError names the row that does not fit."""
    answer = None
    for line in source.splitlines():
        if not line.startswith("|"):
            answer = None
            continue
        parts = [
            part.strip().replace("\\|", "|") for part in re.split(r"(?<!\\)\|", line)
        ][1:-1]
        if answer is None:
            answer = parts[0].strip("`")
        elif set(line) - set("|-: "):
            yield _row(answer, parts)


def _row(answer: str, parts: list[str]) -> Row:
    name, code, *told = parts
    if not re.fullmatch(r"`[^`]+`|``.+``", code):
        raise TableError(f"row {name!r}: its code must stand between backticks")
    try:
        ast.parse(code.strip("` "), mode="eval")
    except SyntaxError as error:
        raise TableError(
            f"row {name!r}: no expression of Python: {error.msg}"
        ) from error
    return Row(answer, name, code.strip("` "), *told)
