"""Rules as JavaScript: what a mask says when it is read with pieces of a program in place of i and j.

The book's playground draws masks in a reader's browser. It gets its rules from here, so that they stand in
`lib.masks` alone. A whole mask becomes a function of i and j; a kind of mask, such as `window`, becomes a function
of its arguments, which are not known before the reader moves a slider.
"""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

# Positions and lengths are exact as JavaScript's numbers, which count to 2 ** 53.


class Script:
    """A piece of JavaScript that grows by each operator applied to it.

    `text` needs no brackets where it is an `atom`: a name, a number or a call.
    """

    __hash__ = None
    # As an array of indices that nobody knows yet: a table cannot look whether they lie in it.
    size = 0

    def __init__(self, text: str, atom: bool = False):
        self.text = text
        self.atom = atom

    def __str__(self) -> str:
        return self.text if self.atom else f"({self.text})"

    def entries(self, table: np.ndarray, *columns: "Script") -> "Script":
        """What stands in a table at this position; outside of the table JavaScript throws a TypeError."""
        places = "".join(f"[{position.text}]" for position in (self, *columns))
        return Script(f"{json.dumps(table.tolist())}{places}.valueOf()", atom=True)

    def __add__(self, other):
        return _joined(self, "+", other)

    __radd__ = __add__

    def __sub__(self, other):
        return _joined(self, "-", other)

    def __rsub__(self, other):
        return _joined(other, "-", self)

    def __floordiv__(self, divisor):
        return Script(f"Math.floor({self} / {divisor})", atom=True)

    def __mod__(self, period):
        # JavaScript's remainder of a negative number is negative, Python's is not.
        return _joined(Script(f"({self} % {period}) + {period}"), "%", period)

    def __lt__(self, other):
        return _joined(self, "<", other)

    def __le__(self, other):
        return _joined(self, "<=", other)

    def __gt__(self, other):
        return _joined(self, ">", other)

    def __ge__(self, other):
        return _joined(self, ">=", other)

    def __eq__(self, other):
        return _joined(self, "===", other)

    def __and__(self, other):
        return _joined(self, "&&", other)

    def __or__(self, other):
        return _joined(self, "||", other)

    def __invert__(self):
        return Script(f"!{self}", atom=True)

    def __bool__(self) -> bool:
        raise TypeError(
            f"a condition in a web page is neither true nor false yet: write the rule of a mask with & | ~, "
            f"not with and/or/not/!= or chains of comparisons; got {self.text}"
        )


def _joined(left: Any, sign: str, right: Any) -> Script:
    return Script(f"{left} {sign} {right}")


class Operand:
    """A mask that is not known yet, only its name: its rule is a call of the function with that name."""

    def __init__(self, name: str):
        self.name = name

    def read(self, i: Script, j: Script, b: Any = None) -> Script:
        """The call, for queries `i` and keys `j`."""
        return Script(f"{self.name}({i.text}, {j.text})", atom=True)


class Members:
    """A set that is not known yet. Whoever goes through it meets one member, which stands for each."""

    one = "one"

    def __init__(self, name: str):
        self.name = name

    def __iter__(self) -> Iterator[Script]:
        yield Script(self.one, atom=True)

    def some(self, condition: Script) -> Script:
        """The condition holds for some member."""
        return Script(f"{self.name}.some(({self.one}) => {condition.text})", atom=True)


def function(mask: Any) -> str:
    """The rule of a mask as a JavaScript function of a query and a key, such as ``(i, j) => j <= i``.

    Raises ValueError for a batch of masks, of which a function of i and j could tell but one.
    """
    if mask.batch is not None:
        raise ValueError(
            f"to_javascript: expected a mask without a batch, got one of {mask.batch} rows; give the mask of one "
            f"row, such as document(ids[0])"
        )
    return f"(i, j) => {_rule(mask).text}"


def function_of_arguments(kind: type) -> str:
    """A kind of mask as a JavaScript function of its arguments, such as ``(size) => (i, j) => j < size``.

    A mask among the arguments is itself a function of i and j, a set an array. Raises TypeError for a kind that
    holds a table.
    """
    opened = {field.name: _not_known_yet(kind, field) for field in fields(kind)}
    condition = _rule(kind.opened(**opened))
    for value in opened.values():
        if isinstance(value, Members):
            condition = value.some(condition)
    return f"({', '.join(opened)}) => (i, j) => {condition.text}"


def _rule(mask: Any) -> Script:
    return mask.read(Script("i", atom=True), Script("j", atom=True))


def _not_known_yet(kind: type, field: Any) -> Script | Operand | Members:
    """What stands for the argument until it is known; its type says what it will be."""
    if hasattr(field.type, "read"):
        return Operand(field.name)
    if field.type in (int, int | None):
        return Script(field.name, atom=True)
    if hasattr(field.type, "__iter__"):
        return Members(field.name)
    raise TypeError(
        f"{kind.__name__}: its {field.name} is no number, no set of numbers and no mask; with the argument given, "
        f"its to_javascript() can be read"
    )
