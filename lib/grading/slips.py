"""Mistakes that nobody needs to write down, since they follow from the right answer: its inverse, its transpose, …

A slip is a function of the right result and of the arguments. Where it makes no sense it raises ValueError.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lib.grading.known import Mistake


class Slip(NamedTuple):
    """A name, what to tell, how the wrong result follows, `make(right, arguments)`, and a bug of the zoo."""

    name: str
    explanation: str
    make: Callable[[Callable, tuple], np.ndarray]
    bug: str = ""


def slips_of(answer: str, right: Callable) -> list[Mistake]:
    """Every slip as a mistake about the answer whose right function is `right`."""
    return [
        Mistake(answer, slip.name, slip.explanation, _made(slip, right), slip.bug)
        for slip in SLIPS
    ]


def _made(slip: Slip, right: Callable) -> Callable:
    def function(*arguments):
        with np.errstate(all="ignore"):
            return slip.make(right, arguments)

    return function


def _where(sensible: bool) -> None:
    if not sensible:
        raise ValueError("this slip makes no sense here")


def _of_result(change: Callable, fits: Callable[[np.ndarray], bool]) -> Callable:
    """The slip that changes a right result which `fits`."""

    def make(right, arguments):
        result = np.asarray(right(*arguments))
        _where(fits(result))
        return change(result)

    return make


def _is_mask(result):
    return result.dtype == bool


def _is_drawn_mask(result):
    return result.dtype == bool and result.ndim == 2


def _is_matrix(result):
    return result.ndim == 2


def _is_number(result):
    return result.dtype.kind == "f"


def _is_weights(result):
    """Rows that share out a weight of 1."""
    return _is_number(result) and result.ndim > 0 and np.allclose(result.sum(-1), 1)


def _is_additive(result):
    return _is_number(result) and bool(np.isin(result, (0, -np.inf)).all())


def _shifted(result, by, filled):
    """Every row moved by one key, with `filled` at the free place."""
    free = np.full((len(result), 1), filled)
    parts = [free, result[:, :-1]] if by > 0 else [result[:, 1:], free]
    return np.concatenate(parts, axis=1)


def _exchanged(right, arguments):
    _where(len(arguments) > 1)
    one, other = arguments[:2]
    _where(type(one) is type(other) and np.shape(one) == np.shape(other))
    return right(other, one, *arguments[2:])


def _other_way(right, arguments):
    _where(len(arguments) == 1 and np.ndim(arguments[0]) == 2)
    return np.asarray(right(arguments[0].T)).T


def _kept_whole(right, arguments):
    """The result in the type of whole numbers in which the argument came."""
    _where(bool(arguments) and isinstance(arguments[0], np.ndarray))
    return np.asarray(right(*arguments)).astype(arguments[0].dtype)


def _given_back(right, arguments):
    _where(bool(arguments) and isinstance(arguments[0], np.ndarray))
    return arguments[0]


SLIPS = [
    Slip(
        "inverted",
        "Every True is a False here, and every False a True. In this course True means may attend, unless a name says "
        "otherwise.",
        _of_result(np.logical_not, _is_mask),
        bug="inverted_mask",
    ),
    Slip(
        "inverted",
        "0 and −∞ are exchanged: −∞ belongs to the pairs that are hidden.",
        _of_result(lambda r: np.where(r == 0, -np.inf, 0), _is_additive),
    ),
    Slip(
        "numbers for booleans",
        "The pattern is right, but it is made of the numbers 0.0 and 1.0. PyTorch would add them to the scores, which "
        "masks nothing. Make booleans, for example with `dtype=bool`.",
        _of_result(lambda r: r.astype(float), _is_mask),
    ),
    Slip(
        "numbers for booleans",
        "0 and 1 are at the right places, but they are whole numbers, which PyTorch refuses as a mask. Make booleans, "
        "for example with `dtype=bool`.",
        _of_result(lambda r: r.astype(int), _is_mask),
    ),
    *(
        Slip(
            "additive mask",
            "This is a mask of 0 and −∞, to be added to the scores. Asked are booleans.",
            _of_result(change, _is_mask),
        )
        for change in (
            lambda r: np.where(r, 0, -np.inf),
            lambda r: np.where(r, -np.inf, 0),
        )
    ),
    Slip(
        "one ahead",
        "Every query may read one key too many, the next one.",
        _of_result(lambda r: _shifted(r, 1, True), _is_drawn_mask),
        bug="looks_one_ahead",
    ),
    Slip(
        "own position left out",
        "Every query has one key too few, its own. A query may read its own position.",
        _of_result(lambda r: _shifted(r, -1, False), _is_drawn_mask),
        bug="own_position_left_out",
    ),
    Slip(
        "everything allowed",
        "Everything is True: nothing is masked.",
        _of_result(np.ones_like, _is_drawn_mask),
        bug="mask_thrown_away",
    ),
    Slip(
        "transposed",
        "Rows and columns are exchanged. In a mask, rows are queries and columns are keys.",
        _of_result(np.transpose, _is_drawn_mask),
        bug="transposed_mask",
    ),
    Slip(
        "transposed",
        "Rows and columns are exchanged.",
        _of_result(np.transpose, _is_matrix),
    ),
    Slip(
        "order reversed",
        "The rows stand in reverse order.",
        _of_result(lambda r: r[::-1], lambda r: r.ndim > 0),
    ),
    Slip(
        "other axis",
        "This runs along the other axis: rows are taken for columns.",
        _other_way,
    ),
    Slip(
        "arguments exchanged",
        "You exchanged the first two arguments.",
        _exchanged,
    ),
    Slip(
        "not normalised",
        "These numbers are in the right ratio, but they are not divided by their sum yet.",
        _of_result(lambda r: r / r.max(-1, keepdims=True), _is_weights),
    ),
    Slip(
        "constant",
        "Every key that may be read has the same weight: the scores play no part.",
        _of_result(lambda r: (r > 0) / (r > 0).sum(-1, keepdims=True), _is_weights),
    ),
    Slip(
        "sign turned around",
        "The sign is turned around.",
        _of_result(np.negative, _is_number),
    ),
    Slip(
        "percent",
        "These are percentages. Give parts of 1.",
        _of_result(lambda r: 100 * r, _is_number),
    ),
    Slip(
        "upside down",
        "This is 1 divided by what is wanted: you divided the whole by the part.",
        _of_result(lambda r: 1 / r, _is_number),
    ),
    Slip(
        "the rest to 1",
        "This is what is missing to 1.",
        _of_result(lambda r: 1 - r, _is_number),
    ),
    Slip(
        "cut to whole numbers",
        "Your result keeps whole numbers and cuts the rest off: `np.zeros_like(values)` copies the type of whole "
        "numbers, `np.zeros(values.shape)` does not.",
        _kept_whole,
    ),
    Slip(
        "argument given back",
        "You gave back the first argument as it came in.",
        _given_back,
    ),
]
