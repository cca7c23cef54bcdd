"""Rules over positions: what ``Mask(lambda i, j: …)`` records when it calls the function once.

The function is called with two symbols instead of numbers. Each operator it applies returns a larger
expression, so that the rule is known as a tree and not only as a piece of Python that can be run.
A tree is an int, "i", "j" or a tuple (operator, operands …): immutable, comparable and plain JSON.
"""

import operator
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

Tree = int | str | tuple

ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "//": operator.floordiv,
    "%": operator.mod,
}
COMPARISONS = {"<": operator.lt, "<=": operator.le, "==": operator.eq}
LOGIC = {"&": operator.and_, "|": operator.or_, "~": operator.invert}
OPERATORS = ARITHMETIC | COMPARISONS | LOGIC

ADVICE = "a rule is made of i, j and integers with + - // % < <= == & | ~"
INSTEAD = (
    "for example, write abs(i - j) < w as (i - j < w) & (j - i < w); and what stands in a table becomes a mask of its "
    "own, such as document(ids), padding(lengths) or explicit(array)"
)


class NotARule(TypeError):
    """The function is no rule, for a reason that its message gives."""


def trace(rule: Callable[[Any, Any], Any]) -> Tree:
    """The tree of `rule(i, j)`. Raises TypeError where the function is not such a rule."""
    _check_two_positions(rule)
    try:
        result = rule(Symbol("i"), Symbol("j"))
    except NotARule:
        raise
    # What functions of other libraries say to a symbol.
    except (TypeError, AttributeError, IndexError) as problem:
        raise NotARule(
            f"rule: something in it cannot compute with i and j: {str(problem).splitlines()[0]}. In short, {ADVICE}; "
            f"{INSTEAD}"
        ) from problem
    if not isinstance(result, Symbol) or not _is_condition(result.tree):
        raise NotARule(
            f"rule: expected a condition on i and j, such as j <= i; got {_given(result)}. In short, {ADVICE}"
        )
    return result.tree


def _check_two_positions(rule: Callable) -> None:
    try:
        parameters = signature(rule)
    except ValueError:  # of a compiled function nothing may be known
        return
    try:
        parameters.bind("i", "j")
    except TypeError as problem:
        raise NotARule(
            f"rule: expected a function of a query i and a key j, got one of {parameters}; in a mask_mod of "
            f"FlexAttention leave b and h out: what differs between the rows of a batch is document(ids), "
            f"padding(lengths) or explicit(array). In short, {ADVICE}"
        ) from problem


def evaluate(tree: Tree, i: Any, j: Any) -> Any:
    """The value of a tree for anything that has the operators: integers, arrays, tensors, intervals."""
    if isinstance(tree, tuple):
        operands = (evaluate(operand, i, j) for operand in tree[1:])
        return OPERATORS[tree[0]](*operands)
    return {"i": i, "j": j}.get(tree, tree)


def text(tree: Tree) -> str:
    """The tree as Python source, with a bracket around every operation but the outermost."""
    if not isinstance(tree, tuple):
        return str(tree)
    operands = [f"({text(t)})" if isinstance(t, tuple) else text(t) for t in tree[1:]]
    return f"~{operands[0]}" if tree[0] == "~" else f" {tree[0]} ".join(operands)


def check(tree: Any) -> Tree:
    """`tree` as it came from JSON, with lists made tuples.

    Raises TypeError if it is no tree at all, ValueError if it is not a condition.
    """
    if not isinstance(tree, list | tuple):
        raise TypeError(
            f"rule: expected a function, such as lambda i, j: j <= i; got {tree!r}"
        )
    tree = _tuples(tree)
    if not _is_condition(tree):
        raise ValueError(
            f"rule: expected a condition on i and j, got {tree!r}; {ADVICE}"
        )
    return tree


class Symbol:
    """An expression in i and j that grows by each operator applied to it."""

    __hash__ = None

    def __init__(self, tree: Tree):
        self.tree = tree

    def __bool__(self) -> bool:
        raise NotARule(
            f"rule: `{text(self.tree)}` has no truth value yet, so `and`, `or`, `not`, `if` and chains like "
            f"0 <= i - j < 4 do not work on it; write (0 <= i - j) & (i - j < 4). In short, {ADVICE}"
        )

    def __add__(self, other):
        return combine("+", self, other)

    def __radd__(self, other):
        return combine("+", other, self)

    def __sub__(self, other):
        return combine("-", self, other)

    def __rsub__(self, other):
        return combine("-", other, self)

    def __floordiv__(self, other):
        return combine("//", self, other)

    def __mod__(self, other):
        return combine("%", self, other)

    def __lt__(self, other):
        return combine("<", self, other)

    def __le__(self, other):
        return combine("<=", self, other)

    def __gt__(self, other):
        return combine("<", other, self)

    def __ge__(self, other):
        return combine("<=", other, self)

    def __eq__(self, other):
        return combine("==", self, other)

    def __ne__(self, other):
        return ~combine("==", self, other)

    def __and__(self, other):
        return combine("&", self, other)

    def __rand__(self, other):
        return combine("&", other, self)

    def __or__(self, other):
        return combine("|", self, other)

    def __ror__(self, other):
        return combine("|", other, self)

    def __invert__(self):
        return combine("~", self)

    def _no_rule(self, *others):
        raise NotARule(
            f"rule: `{text(self.tree)}` meets an operation that a rule cannot record; {ADVICE}; {INSTEAD}"
        )

    __abs__ = __neg__ = __pos__ = __index__ = __float__ = _no_rule
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _no_rule
    __xor__ = __rxor__ = __rfloordiv__ = __rmod__ = _no_rule


def combine(name: str, *operands: Any) -> Symbol:
    """The expression `name`(operands …); raises TypeError where it would not be a rule."""
    tree = (name, *map(_tree, operands))
    if not (_is_condition(tree) or _is_number(tree)):
        raise NotARule(
            f"rule: `{text(tree)}` does not fit; {ADVICE}, and // and % take a positive integer"
        )
    return Symbol(tree)


def _tree(operand: Any) -> Tree:
    if isinstance(operand, Symbol):
        return operand.tree
    if isinstance(operand, int | np.integer) and not isinstance(operand, bool):
        return int(operand)
    raise NotARule(
        f"rule: expected i, j or an integer, got {operand!r} ({type(operand).__name__}); {ADVICE}"
    )


def _is_number(tree: Tree) -> bool:
    if isinstance(tree, int):
        return not isinstance(tree, bool)
    if not isinstance(tree, tuple):
        return tree in ("i", "j")
    if not _is_operation(tree, ARITHMETIC, _is_number):
        return False
    return tree[0] in "+-" or (isinstance(tree[2], int) and tree[2] > 0)


def _is_condition(tree: Tree) -> bool:
    return _is_operation(tree, COMPARISONS, _is_number) or _is_operation(
        tree, LOGIC, _is_condition
    )


def _is_operation(tree: Tree, operators: dict, fits: Callable[[Tree], bool]) -> bool:
    """Whether `tree` applies one of the operators to operands that fit, not all of them constants."""
    if not isinstance(tree, tuple) or len(tree) != (2 if tree[:1] == ("~",) else 3):
        return False
    name, *operands = tree
    return (
        name in operators
        and all(map(fits, operands))
        and not all(isinstance(operand, int) for operand in operands)
    )


def _tuples(tree: Any) -> Any:
    return tuple(map(_tuples, tree)) if isinstance(tree, list | tuple) else tree


def _given(result: Any) -> str:
    return (
        f"`{text(result.tree)}`"
        if isinstance(result, Symbol)
        else f"{result!r} ({type(result).__name__})"
    )
