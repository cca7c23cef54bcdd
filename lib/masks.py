"""The algebra of masks: one rule over positions, *may query i read key j?*

`True` always means **may attend**. Rows are queries, columns are keys, positions count from 0.

>>> from lib.masks import causal, window
>>> mask = causal & window(3)
>>> mask.allowed(5, 3), mask.allowed(5, 2), mask.allowed(5, 6)
(True, False, False)
>>> mask.dense(4).astype(int)
array([[1, 0, 0, 0],
       [1, 1, 0, 0],
       [1, 1, 1, 0],
       [0, 1, 1, 1]])

A mask is an immutable expression tree. Each kind of mask states its rule once, with the operators
``+ - < <= == & | ~`` only, so that whatever understands those operators can read it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


class Mask:
    """A rule over positions. Combine masks with ``&``, ``|`` and ``~``."""

    # Does the rule speak of order, so that it matters where the queries stand among the keys?
    ordered = True
    # How tightly the expression binds when it is printed: ~ before & before |.
    binding = 3
    # NumPy arrays leave & and | to the mask, which says what to do, instead of trying cell by cell.
    __array_ufunc__ = None

    def rule(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`? For anything that has arithmetic and comparison, unchecked."""
        raise NotImplementedError

    def allowed(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`?

        `i`, `j`: ints, or NumPy or torch arrays of ints, broadcast against each other. Two ints give a
        bool; otherwise the result is a boolean array: a tensor if one of them is a tensor, else NumPy's.
        Raises TypeError for positions that are not integers, ValueError for negative ones.
        """
        single = isinstance(i, int | np.integer) and isinstance(j, int | np.integer)
        i, j = _positions(i, j)
        answer = self.rule(i, j)
        return bool(answer) if single else answer

    def dense(self, n_q: int, n_k: int | None = None) -> np.ndarray:
        """The mask as a boolean array of shape (n_q, n_k); `n_k` defaults to `n_q`.

        With n_k > n_q the queries are the **last** n_q positions, as in decoding with a KV cache.
        n_q > n_k is refused for every mask that speaks of order.
        """
        n_q, n_k = _lengths(n_q, n_k)
        i = np.arange(n_q)[:, None] + self.first_query(n_q, n_k)
        j = np.arange(n_k)[None, :]
        return np.broadcast_to(self.rule(i, j), (n_q, n_k)).copy()

    def first_query(self, n_q: int, n_k: int) -> int:
        """The position of query row 0 when `n_q` queries meet `n_k` keys (bottom-right alignment)."""
        if n_q > n_k:
            if self.ordered:
                raise ValueError(
                    f"n_q={n_q} queries but only n_k={n_k} keys: {self!r} speaks of order, so its queries must be "
                    f"the last n_q of the n_k positions; give n_k >= n_q"
                )
            return 0
        return n_k - n_q

    def __and__(self, other: "Mask") -> "Mask":
        return And(self, _operand("&", other))

    def __or__(self, other: "Mask") -> "Mask":
        return Or(self, _operand("|", other))

    # Python asks the right-hand mask only where the left-hand side is no mask: the same message then.
    __rand__ = __and__
    __ror__ = __or__

    def __invert__(self) -> "Mask":
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"a mask is neither true nor false; combine masks with & | ~, not with and/or/not: {self!r}"
        )


@dataclass(frozen=True, repr=False)
class Full(Mask):
    """Every query may read every key: attention without a mask (Chapter 1)."""

    ordered = False

    def rule(self, i, j):
        return (i >= 0) & (j >= 0)  # positions count from 0, so this always holds

    def __repr__(self):
        return "full"


@dataclass(frozen=True, repr=False)
class Causal(Mask):
    """A query reads itself and what stands before it: j ≤ i (Chapter 1, "The output")."""

    def rule(self, i, j):
        return j <= i

    def __repr__(self):
        return "causal"


@dataclass(frozen=True, repr=False)
class Window(Mask):
    """Keys fewer than `size` positions away, on either side: |i − j| < size."""

    size: int

    def rule(self, i, j):
        return (i - j < self.size) & (j - i < self.size)

    def __repr__(self):
        return f"window({self.size})"


@dataclass(frozen=True, repr=False)
class And(Mask):
    """Both masks allow the pair."""

    left: Mask
    right: Mask
    binding = 2

    @property
    def ordered(self):
        return self.left.ordered or self.right.ordered

    def rule(self, i, j):
        return self.left.rule(i, j) & self.right.rule(i, j)

    def __repr__(self):
        return _infix(self, "&")


@dataclass(frozen=True, repr=False)
class Or(Mask):
    """At least one of the masks allows the pair."""

    left: Mask
    right: Mask
    binding = 1

    @property
    def ordered(self):
        return self.left.ordered or self.right.ordered

    def rule(self, i, j):
        return self.left.rule(i, j) | self.right.rule(i, j)

    def __repr__(self):
        return _infix(self, "|")


@dataclass(frozen=True, repr=False)
class Not(Mask):
    """The mask does not allow the pair."""

    operand: Mask

    @property
    def ordered(self):
        return self.operand.ordered

    def rule(self, i, j):
        return ~self.operand.rule(i, j)

    def __repr__(self):
        operand = repr(self.operand)
        return f"~{operand}" if self.operand.binding == 3 else f"~({operand})"


full = Full()
causal = Causal()


def window(size: int) -> Mask:
    """Keys fewer than `size` positions away; ``causal & window(w)`` reads `w` keys, self included.

    With `causal` that is 0 ≤ i − j < w. Alone it looks both ways. Raises for a size that is not an
    integer of at least 1 (Chapter 1, "A window of your choice").
    """
    return Window(_integer("size", size, at_least=1))


def _operand(operator, value):
    if not isinstance(value, Mask):
        raise TypeError(
            f"{operator}: expected a mask on either side, got {type(value).__name__}; "
            f"to combine a mask with an array, turn it into one first: mask.dense(n_q, n_k)"
        )
    return value


def _infix(mask, operator):
    # The operators associate to the left, so a right operand that binds equally needs brackets.
    left, right = repr(mask.left), repr(mask.right)
    if mask.left.binding < mask.binding:
        left = f"({left})"
    if mask.right.binding <= mask.binding:
        right = f"({right})"
    return f"{left} {operator} {right}"


def _integer(name, value, at_least):
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{name}: expected an integer, got {value!r} ({type(value).__name__})"
        )
    if value < at_least:
        raise ValueError(f"{name}: expected at least {at_least}, got {value}")
    return int(value)


def _lengths(n_q, n_k):
    n_q = _integer("n_q", n_q, at_least=0)
    return n_q, n_q if n_k is None else _integer("n_k", n_k, at_least=0)


def _positions(i, j):
    """`i` and `j` as int64 arrays of one kind: tensors on one device if either is a tensor, else NumPy."""
    i, j = _index_array("i", i), _index_array("j", j)
    tensor = next((x for x in (i, j) if _is_tensor(x)), None)
    if tensor is None:
        return i, j
    return tuple(x if _is_tensor(x) else tensor.new_tensor(x) for x in (i, j))


def _index_array(name, values):
    array = values if _is_tensor(values) else np.asarray(values)
    integers = str(array.dtype).removeprefix("torch.").startswith(("int", "uint"))
    if not integers and 0 not in array.shape:  # an empty list has no kind of its own
        raise TypeError(f"{name}: expected integer positions, got {array.dtype}")
    # int64 throughout: the difference of two unsigned positions would wrap around.
    positions = array.long() if _is_tensor(array) else array.astype(np.int64)
    if 0 not in positions.shape and positions.min() < 0:
        raise ValueError(
            f"{name}: expected positions that count from 0, got {positions.min().item()}"
        )
    return positions


def _is_tensor(x):
    # Known by its manners, because this module must not import torch.
    return hasattr(x, "new_tensor")
