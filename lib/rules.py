"""Rules over positions: what ``Mask(lambda i, j: …)`` records when it calls the function once.

The function is called with two symbols instead of numbers. Each operator it applies returns a larger
expression, so that the rule is known as a tree and not only as a piece of Python that can be run.
A tree is an int, "i", "j" or a tuple (operator, operands …): immutable, comparable and plain JSON.
"""

import operator
from collections.abc import Callable
from typing import Any

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


def trace(rule: Callable[[Any, Any], Any]) -> Tree:
    """The tree of `rule(i, j)`. Raises TypeError where the function is not such a rule."""
    result = rule(Symbol("i"), Symbol("j"))
    if not isinstance(result, Symbol) or not _is_condition(result.tree):
        raise TypeError(
            f"rule: expected a condition on i and j, such as j <= i; got {_given(result)}. In short, {ADVICE}"
        )
    return result.tree


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
    """`tree` as it came from JSON, with lists made tuples; raises ValueError if it is not a condition."""
    tree = _tuples(tree)
    if not _is_condition(tree):
        raise ValueError(
            f"expression: expected a condition on i and j, got {tree!r}; {ADVICE}"
        )
    return tree


class Symbol:
    """An expression in i and j that grows by each operator applied to it."""

    __hash__ = None

    def __init__(self, tree: Tree):
        self.tree = tree

    def __bool__(self) -> bool:
        raise TypeError(
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

    def __or__(self, other):
        return combine("|", self, other)

    def __invert__(self):
        return combine("~", self)


def combine(name: str, *operands: Any) -> Symbol:
    """The expression `name`(operands …); raises TypeError where it would not be a rule."""
    tree = (name, *map(_tree, operands))
    if not (_is_condition(tree) or _is_number(tree)):
        raise TypeError(
            f"rule: `{text(tree)}` does not fit; {ADVICE}, and // and % take a positive integer"
        )
    return Symbol(tree)


def _tree(operand: Any) -> Tree:
    if isinstance(operand, Symbol):
        return operand.tree
    if isinstance(operand, int) and not isinstance(operand, bool):
        return operand
    raise TypeError(
        f"rule: expected i, j or an integer, got {operand!r} ({type(operand).__name__}); {ADVICE}"
    )


def _is_number(tree: Tree) -> bool:
    if not isinstance(tree, tuple):
        return tree in ("i", "j") or (
            isinstance(tree, int) and not isinstance(tree, bool)
        )
    if (
        len(tree) != 3
        or tree[0] not in ARITHMETIC
        or not all(map(_is_number, tree[1:]))
    ):
        return False
    return tree[0] in "+-" or (isinstance(tree[2], int) and tree[2] > 0)


def _is_condition(tree: Tree) -> bool:
    if not isinstance(tree, tuple):
        return False
    if tree[0] in COMPARISONS:
        return len(tree) == 3 and all(map(_is_number, tree[1:]))
    return (
        tree[0] in LOGIC
        and len(tree) == (2 if tree[0] == "~" else 3)
        and all(map(_is_condition, tree[1:]))
    )


def _tuples(tree: Any) -> Any:
    return tuple(map(_tuples, tree)) if isinstance(tree, list | tuple) else tree


def _given(result: Any) -> str:
    return (
        f"`{text(result.tree)}`"
        if isinstance(result, Symbol)
        else f"{result!r} ({type(result).__name__})"
    )
