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

    def rule(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`? For anything that has arithmetic and comparison."""
        raise NotImplementedError

    def allowed(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`?

        `i`, `j`: ints, or NumPy or torch arrays of ints, broadcast against each other. Two ints give a
        bool; otherwise the result is a boolean array of the same kind as the input.
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
        return And(self, other) if isinstance(other, Mask) else NotImplemented

    def __or__(self, other: "Mask") -> "Mask":
        return Or(self, other) if isinstance(other, Mask) else NotImplemented

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
        return (
            f"~{self.operand!r}"
            if self.operand.binding == 3
            else f"~({self.operand!r})"
        )


full = Full()
causal = Causal()


def window(size: int) -> Mask:
    """Keys fewer than `size` positions away; ``causal & window(w)`` reads `w` keys, self included.

    With `causal` that is 0 ≤ i − j < w. Alone it looks both ways. Raises for a size that is not an
    integer of at least 1 (Chapter 1, "A window of your choice").
    """
    return Window(_integer("size", size, at_least=1))


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
    """`i` and `j` as index arrays of one kind: torch if one of them is a tensor, else NumPy."""
    tensor = next((x for x in (i, j) if hasattr(x, "new_tensor")), None)
    if tensor is None:
        return _numpy_positions("i", i), _numpy_positions("j", j)
    i, j = (x if hasattr(x, "new_tensor") else tensor.new_tensor(x) for x in (i, j))
    for name, x in (("i", i), ("j", j)):
        if str(x.dtype) not in ("torch.int32", "torch.int64"):
            raise TypeError(
                f"{name}: expected positions as int32 or int64, got a tensor of {x.dtype}"
            )
    return i, j


def _numpy_positions(name, values):
    positions = np.asarray(values)
    if positions.size == 0:
        return positions.astype(np.int64)
    if positions.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: expected integer positions, got an array of {positions.dtype}"
        )
    if positions.min() < 0:
        raise ValueError(f"{name}: positions count from 0, got {positions.min()}")
    return positions.astype(np.int64)  # unsigned differences would wrap around
