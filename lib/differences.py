"""Masks that ask only how far apart query and key are: 0 ≤ i − j < 256, or i − j ∈ {0, 512}.

Such a mask repeats along its diagonals, so n booleans say all about n × n pairs. Which masks are of that
kind need not be told: the rule itself is read once more, with positions that know nothing but i − j.
"""

from typing import Any

import numpy as np

from lib.masks import Mask, full


class OtherThanDifference(Exception):
    """The rule asked for something else than i − j."""


class Position:
    """A query position i or a key position j, of which nothing is known but the differences i − j.

    `sign` is 1 for the query and −1 for the key; `shift` is what has been added to it.
    """

    ndim = 0

    def __init__(self, differences: np.ndarray, sign: int, shift: int = 0):
        self.differences, self.sign, self.shift = differences, sign, shift

    def __add__(self, number: int) -> "Position":
        return Position(self.differences, self.sign, self.shift + _number(number))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if not isinstance(other, Position):
            return self + -_number(other)
        if other.sign == self.sign:
            raise OtherThanDifference
        return self.sign * self.differences + self.shift - other.shift

    def __le__(self, other: Any) -> np.ndarray:
        return self - _position(other) <= 0

    def __lt__(self, other: Any) -> np.ndarray:
        return self - _position(other) < 0

    def __ge__(self, other: Any) -> np.ndarray:
        return self - _position(other) >= 0

    def __gt__(self, other: Any) -> np.ndarray:
        return self - _position(other) > 0

    def __eq__(self, other: object) -> np.ndarray:
        return self - _position(other) == 0

    __hash__ = None

    @property
    def size(self):  # asked for by a mask that looks its positions up in a table
        raise OtherThanDifference

    def _unknown(self, *others: Any):
        raise OtherThanDifference

    __rsub__ = __floordiv__ = __mod__ = __index__ = __array__ = _unknown


def allowed_differences(mask: Mask, differences: np.ndarray) -> np.ndarray | None:
    """Which of the `differences` i − j the mask allows; None for a mask that asks for more than i − j.

    `differences`: integers, shape (m,); the result is boolean, shape (m,).
    """
    if mask == full:
        return np.ones(differences.shape, bool)
    try:
        answer = mask.read(Position(differences, 1), Position(differences, -1))
    except OtherThanDifference:
        return None
    return np.broadcast_to(answer, differences.shape)


def runs(allowed: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of True in a boolean array (m,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], allowed, [False]))))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def _number(value: Any) -> int:
    if not isinstance(value, int | np.integer):
        raise OtherThanDifference
    return int(value)


def _position(value: Any) -> Position:
    if not isinstance(value, Position):
        raise OtherThanDifference
    return value
