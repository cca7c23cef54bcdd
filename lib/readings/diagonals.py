"""Masks read along their diagonals: what do they say of all pairs with one difference i − j?

A sliding window asks for i − j alone, so n booleans say all about its n × n pairs; of a window with sinks they
say a part. Which masks are of that kind need not be told: the rule itself is read once more (`lib.readings.intervals`),
for whole diagonals, on which i and j are not known but their difference is.
"""

from typing import Any

import numpy as np

from lib.readings.intervals import Interval, Truth
from lib.readings.readable import Readable


def along_diagonals(
    mask: Readable, n_q: int, n_k: int, batch_row: int | None = None
) -> tuple[np.ndarray, Truth]:
    """All differences i − j between `n_q` queries, the last of `n_k` positions, and the keys; and what is allowed.

    Both have the shape (n_q + n_k − 1,). `may`: the mask may allow some pair with that difference, else it
    allows none; `must`: it allows all of them. With a batch, of its row `batch_row`.
    """
    shift = mask.first_query(n_q, n_k)
    differences = np.arange(shift - n_k + 1, shift + n_q)
    first = np.maximum(shift, differences)
    last = np.minimum(shift + n_q - 1, differences + n_k - 1)
    i = OnDiagonal(first, last, differences)
    j = OnDiagonal(first - differences, last - differences, -differences)
    truth = mask.read(i, j, batch_row)
    may, must = (np.broadcast_to(x, differences.shape) for x in (truth.may, truth.must))
    return differences, Truth(may, must)


def runs(chosen: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of True in a boolean array (m,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False]))))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


class OnDiagonal(Interval):
    """The queries, or the keys, of whole diagonals: an interval whose distance to the other one is known.

    `ahead`: by how much these positions lie ahead of the others, one number for each diagonal; `shift`: what
    has been added to them.
    """

    def __init__(self, lo, hi, ahead, shift: int = 0):
        super().__init__(lo, hi)
        self.ahead, self.shift = ahead, shift

    def __add__(self, other):
        if isinstance(other, Interval):
            return super().__add__(other)
        return OnDiagonal(
            self.lo + other, self.hi + other, self.ahead, self.shift + other
        )

    __radd__ = __add__

    def __sub__(self, other):
        if not isinstance(other, Interval):
            return self + -other
        if not isinstance(other, OnDiagonal):
            return super().__sub__(other)
        ahead = 0 if other.ahead is self.ahead else self.ahead
        distance = ahead + self.shift - other.shift
        return Interval(distance, distance)

    def __lt__(self, other):
        return self - other < 0 if _on_diagonal(other) else super().__lt__(other)

    def __le__(self, other):
        return self - other <= 0 if _on_diagonal(other) else super().__le__(other)

    def __gt__(self, other):
        return self - other > 0 if _on_diagonal(other) else super().__gt__(other)

    def __ge__(self, other):
        return self - other >= 0 if _on_diagonal(other) else super().__ge__(other)

    def __eq__(self, other):
        return self - other == 0 if _on_diagonal(other) else super().__eq__(other)


def _on_diagonal(x: Any) -> bool:
    return isinstance(x, OnDiagonal)
