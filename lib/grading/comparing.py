"""Two arrays side by side: whether they agree, and one sentence on how they differ."""

import numpy as np

from lib.grading import pictures

# Two float64 computations of one formula agree far better than this; a mistake does not.
DOUBLE = {"rtol": 1e-7, "atol": 1e-9}
# The same for float32, which PyTorch makes if nobody asks.
SINGLE = {"rtol": 1e-5, "atol": 1e-6}
NOT_A_NUMBER = "look for 0/0, 0 · inf, inf − inf or the logarithm of a negative number."


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Two arrays have one shape and one content up to rounding; NaN agrees with NaN and inf with inf."""
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and bool(agreeing(one, other).all())


def agreeing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two arrays of one shape agree, as far as the less precise of their types can tell."""
    room = SINGLE if _imprecise(one.dtype) or _imprecise(other.dtype) else DOUBLE
    one, other = one.astype(np.float64), other.astype(np.float64)
    return np.isclose(one, other, **room, equal_nan=True)


def _imprecise(dtype: np.dtype) -> bool:
    return dtype.kind == "f" and dtype.itemsize < 8


def inexact(
    wanted: np.ndarray, found: np.ndarray, exact: tuple[float, ...]
) -> np.ndarray:
    """Where `wanted` is one of the numbers that are promised exactly, and `found` is not that very number."""
    return np.isin(wanted, exact) & (found != wanted)


def difference(wanted: np.ndarray, found: np.ndarray) -> str:
    """One sentence on how an answer differs from what is wanted, and a property that gives it away."""
    dtype = found.dtype
    if found.shape != wanted.shape:
        return _other_shape(wanted, found)
    if found.dtype == wanted.dtype == bool:
        return _other_booleans(wanted, found)
    whole = dtype.kind in "iu" and not agree(np.trunc(wanted), wanted)
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    if (np.isnan(found) & ~np.isnan(wanted)).any():
        return _not_numbers(np.isnan(found) & ~np.isnan(wanted))
    if whole:
        return (
            "Your result holds whole numbers, and fractions are wanted: an array that was made with `dtype=int`, or "
            "like an array of whole numbers, cuts the rest off. Make it with `dtype=float`."
        )
    for decimals in range(2, 7):
        if np.array_equal(found, wanted.round(decimals), equal_nan=True):
            return f"Your numbers are rounded to {decimals} decimals. Give them as they were computed."
    return _other_precision(wanted, found, dtype) or _other_numbers(wanted, found)


def not_exact(wanted: np.ndarray, found: np.ndarray, exact: tuple[float, ...]) -> str:
    """One sentence on a number that is promised exactly and is only nearly there."""
    place = np.unravel_index(np.argmax(inexact(wanted, found, exact)), wanted.shape)
    value = pictures.number(wanted[place])
    return (
        f"Where {value} is wanted it must be exactly {value}; your number{_at(place)} is {found[place]:.3g}. What is "
        "nearly there is still there."
    )


def _other_shape(wanted: np.ndarray, found: np.ndarray) -> str:
    told = f"The shape is {found.shape}; it should be {wanted.shape}."
    if found.ndim > 1 and agree(found.T, wanted):
        return f"{told} It is transposed: rows and columns are exchanged."
    if found.size == wanted.size and agree(found.ravel(), wanted.ravel()):
        return f"{told} The numbers themselves are right."
    return told


def _other_booleans(wanted: np.ndarray, found: np.ndarray) -> str:
    """Where the first one stands that differs, and how many do."""
    differs = wanted != found
    place = np.unravel_index(np.argmax(differs), differs.shape)
    where = f" in row {place[0]}, key {place[1]}" if len(place) == 2 else _at(place)
    told = (
        f"{differs.sum()} of {differs.size} booleans differ. The first one is{where}: "
        f"wanted {wanted[place]}, found {found[place]}."
    )
    return f"{told}{_property(wanted.astype(float), found.astype(float), shares=False)}"


def _not_numbers(nan: np.ndarray) -> str:
    """Where NaN stands, and what to look for; a single row of NaN is a query that has lost all its keys."""
    told = "It holds NaN, which is not a number"
    if nan.ndim == 2 and not nan.all():
        rows = np.flatnonzero(nan.any(axis=1))
        if len(rows) == 1 and nan[rows[0]].all():
            return (
                f"{told}, in row {rows[0]} only and all along it. Was its sum 0? Where rows are queries, this query "
                "then reads no key at all: its own key is blocked too. Or did exp of a large score overflow?"
            )
        told += f", in {len(rows)} of {len(nan)} rows, row {rows[0]} first"
    elif nan.ndim:
        told += (
            "; it stands everywhere" if nan.all() else f",{_at(np.argwhere(nan)[0])}"
        )
    return f"{told}: {NOT_A_NUMBER}"


def _other_precision(wanted: np.ndarray, found: np.ndarray, dtype: np.dtype) -> str:
    """What to say of numbers that agree as far as less precision than float64 goes; nothing of others."""
    room = 1e-3 if _imprecise(dtype) else SINGLE["rtol"]
    if not np.allclose(found, wanted, rtol=room, atol=SINGLE["atol"], equal_nan=True):
        return ""
    finite = np.isfinite(wanted) & (wanted != 0)
    apart = np.abs(found[finite] / wanted[finite] - 1).max(initial=1e-9)
    told = f"The two agree to {int(-np.log10(apart))} digits and no further"
    if _imprecise(dtype):
        return f"{told}; your result is {dtype}, which keeps few: compute in float64."
    if np.array_equal([wanted, found], np.round([wanted, found])):
        return ""  # whole numbers: a slip in counting, and none of precision
    if np.array_equal(found, found.astype(np.float32), equal_nan=True):
        return f"{told}; that is single precision: compute in float64."
    return f"{told}. Was a small number such as 1e-9 added, or something computed in float32? Leave it out."


def _other_numbers(wanted: np.ndarray, found: np.ndarray) -> str:
    """The place where the numbers differ most."""
    both_nan = np.isnan(wanted) & np.isnan(found)
    with np.errstate(all="ignore"):
        apart = np.where((wanted == found) | both_nan, 0, np.abs(wanted - found))
    apart = np.where(np.isnan(apart), np.inf, apart)
    place = np.unravel_index(np.argmax(apart), apart.shape)
    texts = pictures.told_apart(wanted[place], found[place])
    told = "The numbers differ most{}: wanted {}, found {}.".format(_at(place), *texts)
    return f"{told}{_property(wanted, found)}"


def _property(wanted: np.ndarray, found: np.ndarray, *, shares: bool = True) -> str:
    """A sentence on one property that the answer should have and has not, or that gives away what it is.

    Numbers that sum to 1 are taken for `shares`, as weights are; booleans are none.
    """
    if not np.isfinite(wanted).all() or not np.isfinite(found).all():
        return ""
    if agree(found, -wanted):
        return " Every sign is turned around."
    if wanted.ndim == 2 and wanted.shape == wanted.T.shape and agree(found, wanted.T):
        return " It is transposed: rows and columns are exchanged."
    for axis, name in enumerate(("row", "column")[: wanted.ndim]):
        for late, early, which in ((found, wanted, "before"), (wanted, found, "after")):
            if _follows(np.moveaxis(late, axis, 0), np.moveaxis(early, axis, 0)):
                place = name if wanted.ndim == 2 else "number"
                return f" It is shifted by one: each {place} holds what belongs to the one {which}."
    return _sums(wanted, found) if shares else ""


def _follows(late: np.ndarray, early: np.ndarray) -> bool:
    """Whether `late` is `early`, one step later, and that is not by chance."""
    return (
        len(early) > 2
        and agree(late[1:], early[:-1])
        and not agree(early[1:], early[:-1])
    )


def _sums(wanted: np.ndarray, found: np.ndarray) -> str:
    """A sentence on rows, or columns, that should sum to 1 and do not."""
    for axis, name in ((-1, "row"), (0, "column")):
        if wanted.ndim not in (1, 2):
            break
        sums, right = found.sum(axis=axis), wanted.sum(axis=axis)
        wrong = np.flatnonzero(~np.isclose(sums, 1, rtol=0, atol=1e-6))
        if np.allclose(right, 1) and len(wrong):
            _, text = pictures.told_apart(1, np.ravel(sums)[wrong[0]])
            if wanted.ndim == 1:
                return f" They should sum to 1; yours sum to {text}."
            return f" Every {name} should sum to 1; {name} {wrong[0]} of yours sums to {text}."
    return ""


def _at(place: tuple[int, ...]) -> str:
    return f" at [{', '.join(map(str, place))}]" if place else ""
