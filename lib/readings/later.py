"""What a mask can still see: which keys a later query may read, and which tokens must come together (Chapter 6).

A cache of keys and values asks both, after every call, for sequences whose end is not known. Intervals answer for all
later queries at once; where they are too cautious, single pairs are looked at.
"""

import numpy as np

from lib.readings.intervals import Interval, Truth
from lib.readings.readable import Readable

# How many pairs of a mask are looked at in one go, and for one answer at most.
PAIRS = 2**20
LOOKED_AT = 2**22
# How far beyond a key the end of its group is looked for.
REACH = 2**12


def later_readers(
    mask: Readable, keys: np.ndarray, first: int, longest: int
) -> np.ndarray:
    """For each of `keys` (m,) a query from `first` to `longest` − 1 that may read it, or −1 if there is none.

    The query is the last where it is easily known, so that the question need not be asked again soon. Where millions of
    pairs decide nothing, the answer is a query up to which it stays open.
    """
    readers = np.full(len(keys), -1)
    truth = _from(mask, keys, first, longest)
    readers[truth.must] = longest - 1
    unsure = np.flatnonzero(truth.may & ~truth.must)
    far = first + 2 ** np.arange((longest - first).bit_length()) - 1
    for part in np.array_split(unsure, -(-unsure.size * far.size // PAIRS) or 1):
        readers[part] = _last_reader(mask, far, keys[part])
    return _look_closer(
        mask, keys, readers, unsure[readers[unsure] < 0], first, longest
    )


def _look_closer(mask, keys, readers, unsure, first, longest):
    """`readers`, and of the keys `unsure` those that are found among the next queries, pair by pair."""
    looked_at, width = 0, 64
    while unsure.size and first < longest:
        if looked_at > LOOKED_AT:
            readers[unsure] = first
            break
        width = max(min(2 * width, PAIRS // unsure.size), 1)
        queries = np.arange(first, min(first + width, longest))
        readers[unsure] = _last_reader(mask, queries, keys[unsure])
        looked_at += queries.size * unsure.size
        first += width
        unsure = unsure[readers[unsure] < 0]
        unsure = unsure[_from(mask, keys[unsure], first, longest).may]
    return readers


def _from(mask, keys, first, longest) -> Truth:
    """Some query from `first` on may read the key; each of them must: for each key (m,), in some row of the batch."""
    if first >= longest:
        return Truth(*np.zeros((2, len(keys)), bool))
    queries = Interval(np.array([[first]]), np.array([[longest - 1]]))
    truth = mask.read(queries, Interval(keys, keys)[None, :])
    return Truth(*(_for_any(x, keys) for x in (truth.may, truth.must)))


def _last_reader(mask, queries, keys):
    """For each key (m,) the last of `queries` (n,) that may read it in some row of the batch, or −1."""
    allowed = _cells(mask, queries[:, None], keys[None, :])
    readers = np.where(allowed, queries[:, None], -1)
    return readers.max(axis=tuple(range(readers.ndim - 1)), initial=-1)


def _cells(mask, i, j):
    """The pairs of the column `i` and the row `j`, (..., queries, keys), also where the rule speaks of one of them."""
    answer = mask.read(i, j)
    return np.broadcast_to(answer, (*answer.shape[:-2], i.size, j.size))


def _for_any(truth, keys):
    return np.broadcast_to(truth.any(axis=tuple(range(truth.ndim - 1))), keys.shape)


def early_pair(mask: Readable, first: int, last: int) -> tuple[int, int] | None:
    """A query before `first` that may read one of the keys from `first` to `last`; None if there is no such pair."""
    if not (first and first <= last):
        return None
    if not _reads_ahead(mask, first, last):
        return None
    # Intervals cannot exclude it: look at each pair.
    j = np.arange(first, last + 1)[None, :]
    step = max(PAIRS // j.size, 1)
    for start in range(0, first, step):
        i = np.arange(start, min(start + step, first))[:, None]
        allowed = _cells(mask, i, j)
        if allowed.any():
            *_, row, column = np.argwhere(allowed)[0]
            return start + int(row), first + int(column)
    return None


def group_of(
    mask: Readable, query: int, key: int, longest: int
) -> tuple[int, int] | None:
    """The first and the last of the tokens around `query` and `key` that must be given in one call.

    Nobody before them reads them, and none of them reads what comes later. None if no such end is near.
    """

    def apart(cut):
        return cut in (0, longest) or not _reads_ahead(mask, cut, longest - 1)

    starts = range(query, max(query - REACH, -1), -1)
    ends = range(key + 1, min(key + REACH, longest) + 1)
    start, end = (next(filter(apart, cuts), None) for cuts in (starts, ends))
    return None if start is None or end is None else (start, end - 1)


def _reads_ahead(mask, cut, last) -> bool:
    """May some query before `cut` read some key from `cut` to `last`?"""
    queries = Interval(np.array([[0]]), np.array([[cut - 1]]))
    keys = Interval(np.array([[cut]]), np.array([[last]]))
    return bool(mask.read(queries, keys).may.any())
