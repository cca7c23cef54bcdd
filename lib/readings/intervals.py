"""Intervals of positions, so that a mask's rule can be read for a whole tile at once.

A tile is an interval of queries times an interval of keys. Read with intervals in place of i and j, the
rule of a mask says whether *some* pair of the tile may attend and whether *all* pairs must. Interval
arithmetic (Moore 1966) does the numbers, three-valued logic (Kleene 1952) the conditions. Both are cautious:
what they call certain is certain, while "some, not all" may stand where a closer look would decide.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Truth:
    """What a condition can be within each tile: two boolean arrays of one shape, one cell per tile.

    `may`: it may hold for some pair; where this is False it holds for none.
    `must`: it must hold for every pair.
    """

    may: np.ndarray
    must: np.ndarray

    def __and__(self, other: "Truth") -> "Truth":
        return Truth(self.may & other.may, self.must & other.must)

    def __or__(self, other: "Truth") -> "Truth":
        return Truth(self.may | other.may, self.must | other.must)

    def __invert__(self) -> "Truth":
        return Truth(~self.must, ~self.may)

    def __bool__(self) -> bool:
        raise TypeError(
            "a condition on a tile can be neither true nor false: write the rule of a mask with & | ~, "
            "not with and/or/not/!= or chains of comparisons"
        )


class Unknown(Truth):
    """Some pairs may, and not all must. Compared with another unknown, it stays unknown."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__(np.ones(shape, bool), np.zeros(shape, bool))

    __hash__ = None

    def __eq__(self, other: object) -> Truth:
        return self


class Interval:
    """All integers from `lo` to `hi`, both included; arrays of them, one interval per entry.

    Understands the operators of a rule: ``+ -`` with integers and intervals, ``// %`` with a positive
    integer, and the comparisons, which give a `Truth`. No possible value is ever left out; a result
    holds nothing else for the rules of `lib.masks`, where each position occurs once in a condition.
    """

    __array_ufunc__ = None  # array < interval is left to the interval
    __hash__ = None

    def __init__(self, lo: np.ndarray, hi: np.ndarray):
        self.lo = lo
        self.hi = hi

    # As an index array has them.

    def __getitem__(self, index: Any) -> "Interval":
        return Interval(self.lo[index], self.hi[index])

    @property
    def ndim(self) -> int:
        return self.lo.ndim

    @property
    def size(self) -> int:
        return self.lo.size

    def min(self) -> int:
        return self.lo.min()

    def max(self) -> int:
        return self.hi.max()

    def entries(self, table: np.ndarray, *columns: "Interval") -> "Entries | Truth":
        """What a table (..., n) holds on these intervals, or a boolean one (..., n_q, n_k) on theirs and `columns`.

        Intervals that are not laid out as rows and columns are looked up where they are single positions, pair by
        pair; elsewhere anything may stand there.
        """
        if self.ndim < 2:
            return (
                _singles(table, self, *columns) if columns else Unknown(self.lo.shape)
            )
        return marked(table, self, *columns) if columns else Entries(table, self)

    def __add__(self, other):
        lo, hi = _ends(other)
        return Interval(self.lo + lo, self.hi + hi)

    __radd__ = __add__

    def __sub__(self, other):
        lo, hi = _ends(other)
        return Interval(self.lo - hi, self.hi - lo)

    def __rsub__(self, other):
        return Interval(other - self.hi, other - self.lo)

    def __floordiv__(self, divisor: int):
        return Interval(self.lo // divisor, self.hi // divisor)

    def __mod__(self, period: int):
        return Residues(self.lo, self.hi, period)

    def __lt__(self, other):
        lo, hi = _ends(other)
        return Truth(self.lo < hi, self.hi < lo)

    def __le__(self, other):
        lo, hi = _ends(other)
        return Truth(self.lo <= hi, self.hi <= lo)

    def __gt__(self, other):
        lo, hi = _ends(other)
        return Truth(self.hi > lo, self.lo > hi)

    def __ge__(self, other):
        lo, hi = _ends(other)
        return Truth(self.hi >= lo, self.lo >= hi)

    def __eq__(self, other):
        lo, hi = _ends(other)
        return Truth(
            (self.lo <= hi) & (lo <= self.hi), (self.lo == hi) & (self.hi == lo)
        )


class Residues(Interval):
    """Intervals modulo `period`: a run of residues, which may wrap around from period − 1 to 0.

    `lo` and `hi` enclose the run. Where it wraps, the residues between `last` and `first` are missing.
    """

    def __init__(self, lo: np.ndarray, hi: np.ndarray, period: int):
        complete = hi - lo >= period - 1
        self.first = np.where(complete, 0, lo % period)
        self.last = np.where(complete, period - 1, hi % period)
        wraps = self.first > self.last
        super().__init__(
            np.where(wraps, 0, self.first), np.where(wraps, period - 1, self.last)
        )

    def __eq__(self, other):
        lo, hi = _ends(other)
        enclosed = super().__eq__(other)
        missing = (self.last < lo) & (hi < self.first)
        return Truth(enclosed.may & ~missing, enclosed.must)


def _ends(x: Any) -> tuple[Any, Any]:
    """The ends of an interval; a number, or an array of numbers, is an interval of one."""
    return (x.lo, x.hi) if isinstance(x, Interval) else (x, x)


# Tables read by interval. `Table.at` calls these for intervals of queries (R, 1) and of keys (1, C).


class Entries:
    """What a table of whole numbers, shape (..., n), holds on each interval: a set of numbers.

    Two of them are compared with `==`: a pair of equal entries exists where the sets meet, and all pairs
    are equal where both sets are one and the same number. Exact, for numbers in any order.
    """

    __hash__ = None

    def __init__(self, table: np.ndarray, interval: Interval):
        self.table = table
        self.interval = interval

    def __eq__(self, other: "Entries") -> Truth:
        rows, columns = self.interval, other.interval
        shape = (*self.table.shape[:-1], rows.size, columns.size)
        truth = Truth(np.zeros(shape, bool), np.zeros(shape, bool))
        for b in np.ndindex(shape[:-2]):
            _compare_sets(self.table[b], rows, columns, truth.may[b], truth.must[b])
        return truth


def _compare_sets(table, rows, columns, may, must):
    """Fill in `may` and `must`, (R, C), for the entries of one table (n,); memory grows as n, not n²."""
    held, holder = _holders(table, columns)
    alone = np.bincount(holder, minlength=columns.size) == 1
    for r, (lo, hi) in enumerate(zip(rows.lo.flat, rows.hi.flat, strict=True)):
        entries = np.unique(table[lo : hi + 1])
        start = np.searchsorted(held, entries, side="left")
        stop = np.searchsorted(held, entries, side="right")
        meets = holder[_ranges(start, stop)]
        may[r, meets] = True
        must[r, meets] = alone[meets] & (len(entries) == 1)


def _holders(table, intervals):
    """Each entry that stands in an interval, and the number of that interval: sorted, no pair twice."""
    start, stop = intervals.lo.ravel(), intervals.hi.ravel() + 1
    entry = table[_ranges(start, stop)]
    holder = np.repeat(np.arange(intervals.size), stop - start)
    order = np.lexsort((holder, entry))
    entry, holder = entry[order], holder[order]
    new = (np.diff(entry, prepend=0) != 0) | (np.diff(holder, prepend=-1) != 0)
    return entry[new], holder[new]


def _ranges(start, stop):
    """The ranges start[0] … stop[0] − 1, start[1] … stop[1] − 1, … one after the other."""
    length = stop - start
    skipped = start - (np.cumsum(length) - length)
    return np.arange(length.sum()) + np.repeat(skipped, length)


def _singles(table: np.ndarray, rows: Interval, columns: Interval) -> Truth:
    """What a boolean table (..., n_q, n_k) holds at pairs of rows and columns, (t,), that are known."""
    single = (rows.lo == rows.hi) & (columns.lo == columns.hi)
    entry = table[..., rows.lo, columns.lo]
    return Truth(entry | ~single, entry & single)


def marked(table: np.ndarray, rows: Interval, columns: Interval) -> Truth:
    """Which tiles of a boolean table (..., n_q, n_k) hold a True, and which hold nothing else.

    Counts by sums along the rows of the table: beyond the table, memory grows as n_k.
    """
    if (rows.lo == rows.hi).all() and (columns.lo == columns.hi).all():
        return _singles(table, rows, columns)
    counts = np.empty((*table.shape[:-2], rows.size, columns.size), np.int64)
    before = np.zeros((*table.shape[:-2], table.shape[-1] + 1), np.int64)
    for r, (lo, hi) in enumerate(zip(rows.lo.flat, rows.hi.flat, strict=True)):
        in_column = table[..., lo : hi + 1, :].sum(axis=-2)
        in_column.cumsum(axis=-1, out=before[..., 1:])
        last, first = columns.hi.ravel() + 1, columns.lo.ravel()
        counts[..., r, :] = before[..., last] - before[..., first]
    area = (rows.hi - rows.lo + 1) * (columns.hi - columns.lo + 1)
    return Truth(counts > 0, counts == area)
