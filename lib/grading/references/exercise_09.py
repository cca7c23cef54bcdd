"""Points, reference answers and known mistakes of exercise 09.

Generated from solutions/09_long_sequences_on_the_gpu.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.grading.known import mistake

CHAPTER = "09_long_sequences_on_the_gpu"
TITLE = "Long sequences on the GPU"
TITLES = {
    "9.1": "From memory: two pieces of one row",
    "9.2": "Find the bug: a kernel with two faults",
    "9.3": "What does a tile cost?",
    "9.4": "Break two kernels",
    "9.5": "Diagnosis: two devices",
    "9.6": "Design: four blocks a row",
}
POINTS = {
    "9.1": 2,
    "9.2": 2,
    "9.3": 2,
    "9.4": 2,
    "9.5": 2,
    "9.6": 2,
}


def piece(scores, values):
    """What a device keeps of scores (n, keys) and values (keys, d)."""
    largest = scores.max(axis=1, keepdims=True)
    exponentials = np.exp(scores - largest)
    total, weighted = exponentials.sum(axis=1, keepdims=True), exponentials @ values
    return np.concatenate([largest, total, weighted], axis=1)


def merge(one, other):
    """The piece of all keys, from the pieces of some and of the others.

    >>> merge(np.array([[0.0, 1.0, 5.0]]), np.array([[0.0, 1.0, 7.0]]))
    array([[ 0.,  2., 12.]])
    """
    largest = np.maximum(one[:, :1], other[:, :1])
    shift = np.where(largest == -np.inf, 0, largest)  # no key at all: no ∞ − ∞
    parts = (part[:, 1:] * np.exp(part[:, :1] - shift) for part in (one, other))
    return np.concatenate([largest, sum(parts)], axis=1)


def merged(one, other, factors_z, factors_a, m):
    """The two sums, each with its factors for the two pieces."""
    z = sum(f * p[:, 1:2] for f, p in zip(factors_z, (one, other), strict=True))
    a = sum(f * p[:, 2:] for f, p in zip(factors_a, (one, other), strict=True))
    return np.concatenate([m, z, a], axis=1)


def safe(m):
    return np.where(m == -np.inf, 0, m)


def merged_as(one, other, z=True, a=True, sign=1, smaller=False, guard=True):
    """With factors of sums that are left out, turned around, or relative to the smaller score."""
    m1, m2 = one[:, :1], other[:, :1]
    m = (np.minimum if smaller else np.maximum)(m1, m2)
    factors = [np.exp(sign * (part - (safe(m) if guard else m))) for part in (m1, m2)]
    ones = (1, 1)
    return merged(one, other, factors if z else ones, factors if a else ones, m)


def relative_to_the_first(one, other):
    m1, m2 = one[:, :1], other[:, :1]
    factors = (1, np.exp(m2 - m1))
    return merged(one, other, factors, factors, np.maximum(m1, m2))


def only_the_first_rescaled(one, other):
    m = np.maximum(one[:, :1], other[:, :1])
    factors = (np.exp(one[:, :1] - safe(m)), 1)
    return merged(one, other, factors, factors, m)


def relative_to_nothing(one, other):
    factors = np.exp(one[:, :1]), np.exp(other[:, :1])
    m = np.maximum(one[:, :1], other[:, :1])
    return merged(one, other, factors, factors, m)


def in_one_number(one, other):
    """For m, the logarithm of the sum of exponentials of all keys."""
    whole = merge(one, other)
    total = np.where(whole[:, 1:2] == 0, 1, whole[:, 1:2])
    sums = whole[:, 1:] / total
    return np.concatenate([whole[:, :1] + np.log(total), sums], axis=1)


def with_a_number(one, other, lowest):
    """−∞ is replaced by a number."""
    one, other = (np.where(np.isneginf(p), lowest, p) for p in (one, other))
    return merged_as(one, other)


def divided_by_z(one, other):
    whole = merge(one, other)
    total = np.where(whole[:, 1:2] == 0, 1, whole[:, 1:2])
    return np.concatenate([whole[:, :2], whole[:, 2:] / total], axis=1)


def weighted_by_z(one, other):
    """The weighted sums taken for finished outputs."""
    whole = merge(one, other)
    m1, m2 = one[:, :1], other[:, :1]
    w1 = one[:, 1:2] * np.exp(m1 - safe(whole[:, :1]))
    w2 = other[:, 1:2] * np.exp(m2 - safe(whole[:, :1]))
    both = np.where(w1 + w2 == 0, 1, w1 + w2)
    return np.concatenate(
        [whole[:, :2], (w1 * one[:, 2:] + w2 * other[:, 2:]) / both], axis=1
    )


def one_m_for_all(one, other):
    m = np.full((len(one), 1), max(one[:, 0].max(), other[:, 0].max()))
    factors = [np.exp(p[:, :1] - safe(m)) for p in (one, other)]
    return merged(one, other, factors, factors, m)


def mean_of_outputs(one, other):
    whole = merge(one, other)
    return np.concatenate([whole[:, :2], (one[:, 2:] + other[:, 2:]) / 2], axis=1)


def emptied_as_nan_to_num(one, other):
    return np.nan_to_num(merged_as(one, other, guard=False))


def emptied_as_zeros(one, other):
    whole = merge(one, other)
    return np.where(np.isneginf(whole), 0, whole)


mistakes_9_1 = [
    mistake("merge", "added as they are", "You added the sums as they are. Each is relative to its own m: what does a sum of 1 mean when m is 0, and when m is 10?")(lambda one, other: merged_as(one, other, z=False, a=False)),
    mistake("merge", "weighted sum not scaled", "The sums z are right. The weighted sums a are relative to m in the same way, and need the same factors.")(lambda one, other: merged_as(one, other, a=False)),
    mistake("merge", "sum of exponentials not scaled", "The weighted sums a are right. The sums z are relative to m in the same way, and need the same factors.")(lambda one, other: merged_as(one, other, z=False)),
    mistake("merge", "larger piece thrown in whole", "You told both sums relative to the m of the first piece, and gave the larger m. Where the second is larger the two do not belong together.")(lambda one, other: relative_to_the_first(one, other)),
    mistake("merge", "only the first rescaled", "You rescaled the first piece and added the second as it is. That is enough where new terms are computed relative to the larger m; here the second piece is relative to its own m and needs its factor too.")(lambda one, other: only_the_first_rescaled(one, other)),
    mistake("merge", "relative to nothing", "Your sums are relative to 0 now, whatever m is: you multiplied by exp of each m and not of its distance to the larger one.")(lambda one, other: relative_to_nothing(one, other)),
    mistake("merge", "one number for two", "You put the logarithm of the whole sum in the place of m, so that z is 1. That is a sound way to keep a piece, but not the one asked for: m is the largest score.")(lambda one, other: in_one_number(one, other)),
    mistake("merge", "scaled the wrong way", "Your factors are upside down. A piece whose scores are small must count for little: its factor is below 1.")(lambda one, other: merged_as(one, other, sign=-1)),
    mistake("merge", "relative to the smaller", "You took the smaller m. The ratio of a and z is the same, but the larger piece is multiplied by exp of a difference that may be a thousand.")(lambda one, other: merged_as(one, other, smaller=True)),
    mistake("merge", "no key, no number", "Where both rows are empty your factor is exp(−∞ − (−∞)), which is NaN. Nothing was read there, so z and a stay 0 and m stays −∞.")(lambda one, other: merged_as(one, other, guard=False)),
    mistake("merge", "a number for −∞", "You put a number in the place of −∞. A row without keys has m = −∞: any number is the score of some key.")(lambda one, other: with_a_number(one, other, -1e9)),
    mistake("merge", "a number for −∞", "You put a number in the place of −∞. A row without keys has m = −∞: any number is the score of some key.")(lambda one, other: with_a_number(one, other, -1e30)),
    mistake("merge", "a number for −∞", "You put a number in the place of −∞. A row without keys has m = −∞: any number is the score of some key.")(lambda one, other: emptied_as_nan_to_num(one, other)),
    mistake("merge", "a number for −∞", "You put a number in the place of −∞. A row without keys has m = −∞: any number is the score of some key.")(lambda one, other: emptied_as_zeros(one, other)),
    mistake("merge", "divided too early", "You divided the weighted sum by z. A piece keeps both apart, since it may be merged again: the division comes once, at the end.")(lambda one, other: divided_by_z(one, other)),
    mistake("merge", "weighted sums taken for outputs", "You took a for a finished output and weighed it by z. It is a sum that was never divided: with the factor of its piece it can be added as it is.")(lambda one, other: weighted_by_z(one, other)),
    mistake("merge", "one m for all rows", "You took one m for all queries. Each row has its own, and where a row lies far below the others, exp of all its scores is 0.")(lambda one, other: one_m_for_all(one, other)),
    mistake("merge", "mean of the two", "You averaged the weighted sums. The pieces do not count alike: a piece with larger scores, or more keys, weighs more.")(lambda one, other: mean_of_outputs(one, other)),
]


def suspect_kernel(q, k, v, w, tile):
    """Causal attention in a window of w keys, in tiles."""
    outputs = []
    for start in range(0, len(q), tile):
        rows = np.arange(start, start + tile)
        largest, total, weighted = np.full((tile, 1), -np.inf), 0, 0
        oldest = max(start - w + 1, 0) // tile * tile
        for begin in range(oldest, start + 1, tile):
            keys = np.arange(begin, begin + tile)
            scores = q[rows] @ k[keys].T / np.sqrt(q.shape[1])
            if begin == start:  # the tile on the diagonal holds forbidden pairs
                scores = np.where(keys <= rows[:, None], scores, -np.inf)
            so_far = largest
            largest = np.maximum(so_far, scores.max(axis=1, keepdims=True))
            shift = np.where(largest == -np.inf, 0, largest)  # no key yet
            exponentials = np.exp(scores - shift)
            rescale = np.exp(so_far - shift)
            total = total * rescale + exponentials.sum(axis=1, keepdims=True)
            weighted = weighted + exponentials @ v[keys]
        outputs.append(weighted / total)
    return np.concatenate(outputs)


def fixed_kernel(q, k, v, w, tile):
    """Causal attention in a window of w keys, in tiles.

    >>> fixed_kernel(np.zeros((4, 1)), np.zeros((4, 1)), np.arange(4.0)[:, None], 2, 2).ravel()
    array([0. , 0.5, 1.5, 2.5])
    """
    outputs = []
    for start in range(0, len(q), tile):
        rows = np.arange(start, start + tile)
        largest, total, weighted = np.full((tile, 1), -np.inf), 0, 0
        oldest = max(start - w + 1, 0) // tile * tile
        for begin in range(oldest, start + 1, tile):
            keys = np.arange(begin, begin + tile)
            scores = q[rows] @ k[keys].T / np.sqrt(q.shape[1])
            distance = rows[:, None] - keys
            scores = np.where((distance >= 0) & (distance < w), scores, -np.inf)
            so_far = largest
            largest = np.maximum(so_far, scores.max(axis=1, keepdims=True))
            shift = np.where(largest == -np.inf, 0, largest)
            exponentials = np.exp(scores - shift)
            rescale = np.exp(so_far - shift)
            total = total * rescale + exponentials.sum(axis=1, keepdims=True)
            weighted = weighted * rescale + exponentials @ v[keys]
        outputs.append(weighted / total)
    return np.concatenate(outputs)


def kernel(
    q,
    k,
    v,
    w,
    tile,
    *,
    rescaled=True,
    asked=None,
    factor=None,
    oldest=None,
    finish=None,
):
    """The kernel with one of its steps changed; `asked(i, j, w)` says which pairs it allows."""
    asked = asked or (lambda i, j, w: (j <= i) & (i - j < w))
    outputs = []
    for start in range(0, len(q), tile):
        rows = np.arange(start, start + tile)[:, None]
        largest, total, weighted = np.full((tile, 1), -np.inf), 0, 0
        first = (
            max(start - w + 1, 0) // tile * tile
            if oldest is None
            else oldest(start, w, tile)
        )
        for begin in range(first, start + 1, tile):
            keys = np.arange(begin, begin + tile)
            scores = q[rows[:, 0]] @ k[keys].T / np.sqrt(q.shape[1])
            scores = np.where(asked(rows, keys, w), scores, -np.inf)
            so_far = largest
            largest = np.maximum(so_far, scores.max(axis=1, keepdims=True))
            shift = np.where(largest == -np.inf, 0, largest)
            exponentials = np.exp(scores - shift)
            rescale = (factor or (lambda before, now: np.exp(before - now)))(
                so_far, shift
            )
            total = total * rescale + exponentials.sum(axis=1, keepdims=True)
            weighted = (
                weighted * rescale if rescaled else weighted
            ) + exponentials @ v[keys]
        outputs.append((finish or np.divide)(weighted, total))
    return np.concatenate(outputs)


def on_the_diagonal_alone(i, j, w):
    """The mask is asked where rows and keys are the same tile, and only about the future."""
    return (j <= i) | (j[0] != i[0])


def at_the_far_edge_alone(i, j, w):
    return (i - j < w) & ((j <= i) | (j[0] == i[0]))


def in_the_oldest_tile_alone(i, j, w):
    """The far edge is cut in the oldest tile of a row, the future in the newest."""
    tile = len(j)
    oldest = max(i[0, 0] - w + 1, 0) // tile * tile
    return on_the_diagonal_alone(i, j, w) & ((i - j < w) | (j[0] != oldest))


def left_of_the_diagonal_alone(i, j, w):
    """The far edge is cut in all tiles but that on the diagonal."""
    return (j <= i) & ((i - j < w) | (j[0] == i[0]))


def without_largest(q, k, v, w, tile):
    i, j = np.ogrid[: len(q), : len(q)]
    e = np.where((j <= i) & (i - j < w), np.exp(q @ k.T / np.sqrt(q.shape[1])), 0)
    return e @ v / e.sum(axis=1, keepdims=True)


def dense_kernel(q, k, v, w, tile):
    i, j = np.ogrid[: len(q), : len(q)]
    scores = np.where((j <= i) & (i - j < w), q @ k.T / np.sqrt(q.shape[1]), -np.inf)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) @ v


mistakes_9_2 = [
    mistake("fixed_kernel", "both faults still there", "This gives the same as the suspect. Take values of 1, for which every output should be 1, and scores that rise: which of the three numbers does not follow?")(lambda q, k, v, w, tile: suspect_kernel(q, k, v, w, tile)),
    mistake("fixed_kernel", "sum rescaled, values not", "The window is right now. When a larger score comes, one of the two sums is still told relative to the old one.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, rescaled=False)),
    mistake("fixed_kernel", "far edge not cut", "Both sums are rescaled now. The window is still as long as the tiles make it: which tile besides that on the diagonal holds forbidden pairs?")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=on_the_diagonal_alone)),
    mistake("fixed_kernel", "far edge cut once", "You cut the far edge of the window in the oldest tile of a row. It is a slanted line, and may run through the next tile too.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=in_the_oldest_tile_alone)),
    mistake("fixed_kernel", "far edge on the diagonal", "On the diagonal you ask about the future alone. Where the window is shorter than a tile, its far edge runs through that tile too.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=left_of_the_diagonal_alone)),
    mistake("fixed_kernel", "future not cut", "You cut the far edge of the window and no longer the future. A query reads no key after its own.", bug="mask_thrown_away")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=at_the_far_edge_alone)),
    mistake("fixed_kernel", "window one too wide", "Your window holds w + 1 keys. The query's own key counts as one of the w.", bug="window_one_too_wide")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=lambda i, j, w: (j <= i) & (i - j <= w))),
    mistake("fixed_kernel", "window one too narrow", "Your window holds w − 1 keys. The query's own key counts as one of the w.", bug="window_one_too_narrow")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=lambda i, j, w: (j <= i) & (i - j < max(w - 1, 1)))),
    mistake("fixed_kernel", "own position left out", "No query reads its own key. It is the first of the w keys.", bug="own_position_left_out")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, asked=lambda i, j, w: (j < i) & (i - j < w), finish=lambda a, z: a / np.where(z == 0, 1, z))),
    mistake("fixed_kernel", "oldest tile dropped", "You drop the oldest tile where the window cuts it. Some of its pairs are allowed: mask the others.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, oldest=lambda start, w, tile: min(-(-max(start - w + 1, 0) // tile) * tile, start))),
    mistake("fixed_kernel", "one maximum too late", "Your factor is upside down: it makes the old sums larger when a larger score comes, and they should shrink.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, factor=lambda before, now: np.exp(now - before))),
    mistake("fixed_kernel", "every tile a softmax of its own", "You rescale neither sum. They agree with each other now, but the tiles do not: keys of early tiles count for too much.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, factor=lambda before, now: np.ones_like(now))),
    mistake("fixed_kernel", "no maximum", "You left out the largest score, so nothing has to be rescaled. But exp of a large score is inf, and inf/inf is NaN.")(lambda q, k, v, w, tile: without_largest(q, k, v, w, tile)),
    mistake("fixed_kernel", "NaN cleaned away", "Row 0 reads a value that is NaN, and yours is a number: you replaced NaN by something else. Do not clean the values; skip the tiles that the window leaves empty.")(lambda q, k, v, w, tile: dense_kernel(q, k, np.nan_to_num(v), w, tile)),
    mistake("fixed_kernel", "every tile read", "With NaN in the values of the first and the last token, rows in the middle are NaN too: they read tiles that the window leaves empty, and 0 · NaN is NaN. Skip those tiles.")(lambda q, k, v, w, tile: kernel(q, k, v, w, tile, oldest=lambda start, w, tile: max(start - w, 0) // tile * tile)),
    mistake("fixed_kernel", "every tile read", "With NaN in the values of the first and the last token, rows in the middle are NaN too: they read tiles that the window leaves empty, and 0 · NaN is NaN. Skip those tiles.")(lambda q, k, v, w, tile: dense_kernel(q, k, v, w, tile)),
]


def window_mask(n, w):
    """The mask of a short text, to look at."""
    i, j = np.ogrid[:n, :n]
    return (j <= i) & (i - j < w)


def partial_tiles(n, w, tile):
    """How many tiles hold allowed and forbidden pairs.

    >>> int(partial_tiles(8, 5, 2))
    6
    """
    row = np.arange(n // tile)  # a row of tiles, and how many stand to its left
    read = np.minimum(row, -(-(w - 1) // tile)) + 1
    full = np.minimum(row, max(w // tile - 1, 0))
    return (read - full).sum()


def cost(n, w, tile, start):
    """What all tiles cost.

    >>> int(cost(8, 5, 2, 10))
    150
    """
    row = np.arange(n // tile)
    read = (np.minimum(row, -(-(w - 1) // tile)) + 1).sum()
    return read * (tile**2 + start) + partial_tiles(n, w, tile) * tile**2


def left_of(n, tile, most):
    """The tiles to the left of the diagonal, at most so many a row."""
    return int(np.minimum(np.arange(n // tile), max(most, 0)).sum())


def read_tiles(n, w, tile):
    return n // tile + left_of(n, tile, -(-(w - 1) // tile))


def cost_with(n, w, tile, start, read=None, fetched=None, asked=None):
    read = read_tiles(n, w, tile) if read is None else read
    fetched = read if fetched is None else fetched
    asked = partial_tiles(n, w, tile) if asked is None else asked
    return (read + asked) * tile**2 + fetched * start


mistakes_9_3 = [
    mistake("partial_tiles", "diagonal alone", "These are the tiles on the diagonal. Where the window ends, an edge runs through tiles as well.")(lambda n, w, tile: n // tile),
    mistake("partial_tiles", "far edge alone", "These are the tiles at the far edge of the window. Those on the diagonal hold forbidden pairs too, the future.")(lambda n, w, tile: partial_tiles(n, w, tile) - n // tile),
    mistake("partial_tiles", "one tile a row at the far edge", "You counted one tile a row at the far edge. The edge is a slanted line: in how many tiles of a row can it lie?")(lambda n, w, tile: n // tile + max(n // tile - max(w // tile, 1), 0)),
    mistake("partial_tiles", "one tile a row at the far edge", "You counted one tile a row at the far edge. The edge is a slanted line: in how many tiles of a row can it lie?")(lambda n, w, tile: n // tile + max(n // tile - -(-(w - 1) // tile), 0)),
    mistake("partial_tiles", "one tile a row at the far edge", "You counted one tile a row at the far edge. The edge is a slanted line: in how many tiles of a row can it lie?")(lambda n, w, tile: n // tile + left_of(n, tile, w // tile) - left_of(n, tile, w // tile - 1)),
    mistake("partial_tiles", "two tiles from the first row on", "In the first row that has a far edge, one of your two tiles would lie before the text.")(lambda n, w, tile: n // tile + max(n // tile - max(w // tile, 1), 0) * (1 if w % tile < 2 else 2)),
    mistake("partial_tiles", "full below 0", "Where w is smaller than a tile, the number of your FULL tiles is negative. A row has none then.")(lambda n, w, tile: read_tiles(n, w, tile) - int(np.minimum(np.arange(n // tile), w // tile - 1).sum())),
    mistake("partial_tiles", "window one too wide", "Your window holds w + 1 keys. The query's own key counts as one of the w.")(lambda n, w, tile: partial_tiles(n, w + 1, tile)),
    mistake("partial_tiles", "read one too far", "You took a tile for read that is EMPTY. The query's own key counts as one of the w, so the oldest one lies w − 1 back.")(lambda n, w, tile: n // tile + left_of(n, tile, -(-w // tile)) - left_of(n, tile, w // tile - 1)),
    mistake("partial_tiles", "two tiles in every row", "You gave every row two PARTIAL tiles. The rows at the top have no far edge yet, and others may have two tiles there.")(lambda n, w, tile: 2 * (n // tile)),
    mistake("partial_tiles", "three tiles in every row", "You gave every row three PARTIAL tiles. The rows at the top have no far edge yet, and where it runs from corner to corner it lies in one tile.")(lambda n, w, tile: 3 * (n // tile)),
    mistake("partial_tiles", "far edge in every row", "You gave every row a far edge. The rows at the top read back to the first token.")(lambda n, w, tile: n // tile * (-(-(w - 1) // tile) + 1 - max(w // tile - 1, 0))),
    mistake("partial_tiles", "tiles that are read", "These are all tiles that are read. Some of them hold allowed pairs alone.")(lambda n, w, tile: read_tiles(n, w, tile)),
    mistake("partial_tiles", "full tiles", "These are the FULL tiles.")(lambda n, w, tile: left_of(n, tile, w // tile - 1)),
    mistake("partial_tiles", "tiles that are not FULL", "You counted the EMPTY tiles too. A PARTIAL tile holds an allowed pair.")(lambda n, w, tile: (n // tile) ** 2 - left_of(n, tile, w // tile - 1)),
    mistake("partial_tiles", "full one too many", "You took one tile a row for FULL that is not. The farthest pair of a tile is 2 · tile − 1 further apart than the nearest one.")(lambda n, w, tile: n // tile + left_of(n, tile, -(-(w - 1) // tile)) - left_of(n, tile, w // tile)),
    mistake("partial_tiles", "full one too few", "You took one tile a row for PARTIAL that is FULL: its farthest pair still lies in the window.")(lambda n, w, tile: n // tile + left_of(n, tile, -(-(w - 1) // tile)) - left_of(n, tile, w // tile - 2)),
    mistake("cost", "fetches forgotten", "You left out `start`, which every tile that is read costs.")(lambda n, w, tile, start: cost_with(n, w, tile, 0)),
    mistake("cost", "mask not asked", "You left out what asking the mask costs. A PARTIAL tile costs tile² twice: it is multiplied like any other, and its pairs are asked about.")(lambda n, w, tile, start: cost_with(n, w, tile, start, asked=0)),
    mistake("cost", "mask asked everywhere", "You let the kernel ask the mask in every tile. In a FULL one there is nothing to ask.")(lambda n, w, tile, start: cost_with(n, w, tile, start, asked=read_tiles(n, w, tile))),
    mistake("cost", "partial tiles alone", "You counted PARTIAL tiles alone. FULL ones are read too.")(lambda n, w, tile, start: cost_with(n, w, tile, start, read=partial_tiles(n, w, tile), asked=0)),
    mistake("cost", "one fetch a row", "You counted one fetch for each row of tiles. Every tile that is read is fetched.")(lambda n, w, tile, start: cost_with(n, w, tile, start, fetched=n // tile)),
    mistake("cost", "partial tiles fetched twice", "You let PARTIAL tiles be fetched twice. Asking costs tile² more, and no second `start`.")(lambda n, w, tile, start: cost_with(n, w, tile, start, fetched=read_tiles(n, w, tile) + partial_tiles(n, w, tile))),
    mistake("cost", "fetches of partial tiles alone", "You counted `start` for PARTIAL tiles alone. FULL ones are fetched too.")(lambda n, w, tile, start: cost_with(n, w, tile, start, fetched=partial_tiles(n, w, tile))),
    mistake("cost", "every tile read", "You let the kernel read EMPTY tiles too. It skips them.")(lambda n, w, tile, start: cost_with(n, w, tile, start, read=(n // tile) ** 2)),
    mistake("cost", "no window", "You counted the tiles of the causal mask. The window leaves some of them empty.")(lambda n, w, tile, start: cost_with(n, w, tile, start, read=(n // tile) * (n // tile + 1) // 2)),
    mistake("cost", "allowed pairs for tiles", "You counted the allowed pairs as products. A tile is multiplied as a whole.")(lambda n, w, tile, start: n * w - w * (w - 1) // 2 + read_tiles(n, w, tile) * start + partial_tiles(n, w, tile) * tile**2),
    mistake("cost", "per tile", "That is the cost of one tile, in the mean. Asked is the cost of the whole text.")(lambda n, w, tile, start: cost_with(n, w, tile, start) / read_tiles(n, w, tile)),
]


def causal_scores(q, k):
    """Scores (n, n), with −∞ for the future."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    return np.where(np.tri(len(q), dtype=bool), scores, -np.inf)


def shares_out(scores, largest, v):
    """What attention gives if `largest` is subtracted from the scores of each row."""
    with np.errstate(all="ignore"):
        exponentials = np.exp(scores - largest)
        total = exponentials.sum(axis=1, keepdims=True)
        return exponentials @ v / np.where(total == 0, 1, total)  # no key: zeros


def in_full(q, k, v):
    scores = causal_scores(q, k)
    return shares_out(scores, scores.max(axis=1, keepdims=True), v)


def without_maximum(q, k, v):
    return shares_out(causal_scores(q, k), 0, v)


def from_zero(q, k, v):
    scores = causal_scores(q, k)
    largest = np.zeros((len(q), 1))
    for key in range(len(k)):  # the largest score so far, as keys pass by
        largest = np.maximum(largest, scores[:, key : key + 1])
    return shares_out(scores, largest, v)


one, high, low = np.ones((2, 1)), np.array([[0.0], [50.0]]), np.full((2, 1), -50.0)
loud_text = (high, -low, one)  # scores of row 1: 2500
quiet_text = (high, low, one)  # scores of row 1: −2500, both of them


def runs(first, second):
    """The outputs of two runs, as an array (2, 16)."""
    return np.array([first.split(), second.split()], dtype=float)


sound = runs(
    "0 0.5 1 1.5 2 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 10.5 11.5 12.5",
    "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
)
outputs = {
    "A": runs(
        "0 0.5 1 1.5 2 2.5 3.5 4.5 6 6.5 7.5 8.5 9.5 10.5 11.5 12.5",
        "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ),
    "B": runs(
        "0 0.5 1 1.5 2 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 10.5 11.5 12.5",
        "1 1 1 1 0.615 0.54 0.525 0.54 0.444 0.54 0.525 0.54 0.444 0.54 0.525 0.54",
    ),
    "C": runs(
        "0 0.5 1 1.5 2 2.5 3.5 4.5 3 3.5 4 4.5 5 5.5 6.5 7.5",
        "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ),
    "D": runs(
        "1.5 1.5 1.5 1.5 3.5 3.5 3.5 3.5 5.5 5.5 5.5 5.5 9.5 9.5 9.5 9.5",
        "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ),
}


def first_run():
    """Equal scores, positions as values. For each token: its number, then A, B, C and D."""
    return np.array([np.arange(16), *(both[0] for both in outputs.values())]).T


def second_run():
    """Scores that rise, values of 1. For each token: its number, then A, B, C and D."""
    return np.array([np.arange(16), *(both[1] for both in outputs.values())]).T


def both_runs(program):
    """For each token: its number, then both runs of the program, one of A to D or "sound"."""
    both = sound if program == "sound" else outputs[program]
    return np.array([np.arange(16), *both]).T


diagnosis = (5, 3, 6, 8)


TOKENS, WINDOW, TILE, EDGE = 16, 6, 4, 8
ROWS, KEYS = np.ogrid[:TOKENS, :TOKENS]
SOUND_MASK = (KEYS <= ROWS) & (ROWS - KEYS < WINDOW)
SECOND = ROWS >= EDGE  # the rows of the second device
HALO = WINDOW - 1
FROM_ZERO = (
    ROWS - HALO
)  # where the second device's query 0 stands, if its key 0 is the halo's first
TILES = SOUND_MASK.reshape(4, TILE, 4, TILE)
SOME, ALL = (
    np.kron(tiles, np.ones((TILE, TILE), dtype=bool))
    for tiles in (TILES.any(axis=(1, 3)), TILES.all(axis=(1, 3)))
)
MASKS = {
    4: SOUND_MASK & ~(SECOND & (KEYS < EDGE)),
    5: SOUND_MASK & ~(SECOND & (KEYS < EDGE - HALO + 1)),
    6: np.where(
        SECOND,
        (KEYS >= EDGE - HALO) & (KEYS <= FROM_ZERO) & (FROM_ZERO - KEYS < WINDOW),
        SOUND_MASK,
    ),
    7: ALL,
    8: SOME,
}


def online(scores, values, mask, rescaled=("total", "weighted")):
    """The outputs of a kernel that reads the keys in tiles and rescales the sums that are named."""
    largest, total, weighted = (
        np.full(TOKENS, -np.inf),
        np.zeros(TOKENS),
        np.zeros(TOKENS),
    )
    for start in range(0, TOKENS, TILE):
        keys = slice(start, start + TILE)
        here = np.where(mask[:, keys], scores[keys], -np.inf)
        so_far, largest = largest, np.maximum(largest, here.max(axis=1))
        shift = np.where(largest == -np.inf, 0, largest)
        exponentials, rescale = np.exp(here - shift[:, None]), np.exp(so_far - shift)
        total = total * (rescale if "total" in rescaled else 1) + exponentials.sum(
            axis=1
        )
        weighted = (
            weighted * (rescale if "weighted" in rescaled else 1)
            + exponentials @ values[keys]
        )
    return weighted / np.where(total == 0, 1, total)


def two_runs(number):
    """What the program of that explanation gives, as an array (2, 16)."""
    positions, ones = np.arange(TOKENS) + 0.0, np.ones(TOKENS)
    rescaled = {2: ("total",), 3: ("weighted",)}.get(number, ("total", "weighted"))
    mask = MASKS.get(number, SOUND_MASK)
    runs = [(0 * positions, positions), (positions, ones)]
    return np.array([online(*run, mask, rescaled) for run in runs])


SUSPECTS = {number: lambda number=number: two_runs(number) for number in range(1, 9)}


BLOCKS = 1024


def reach(layers):
    """Row i, column j: something of block j has arrived in block i after all layers."""
    arrived = np.eye(len(layers[0]), dtype=bool)
    for layer in layers:
        arrived = arrived | np.array([arrived[row].any(axis=0) for row in layer])
    return arrived


def kept(layer):
    """The most blocks needed at a time: finished, and read by one that is still to come."""
    rows = np.arange(len(layer))
    last = np.where(layer, rows[:, None], 0).max(axis=0)  # who reads each block last
    return max((last[:t] >= t).sum() for t in rows)


i, j = np.ogrid[:BLOCKS, :BLOCKS]
layers = np.array(
    [  # itself, and the ends of finished stretches of m blocks in its stretch of 4 m
        (j == i) | (j < i) & (j % m == m - 1) & (i // (4 * m) == j // (4 * m))
        for m in (1, 4, 16, 64, 256)
    ]
)


def over_blocks(*rules):
    """Layers of rules about i and j, on 1,024 blocks."""
    i, j = np.ogrid[:1024, :1024]
    return np.array([np.broadcast_to(rule(i, j), (1024, 1024)) for rule in rules])


def in_window(w):
    return lambda i, j: (j <= i) & (i - j < w)


def with_anchors(w, period):
    return lambda i, j: (j <= i) & ((i - j < w) | (j == 0) | (j % period == period - 1))


def in_stretch(m):
    """The ends of finished stretches of m in the stretch of 4 m, and itself."""
    return lambda i, j: (
        (i == j) | (j < i) & (j % m == m - 1) & (i // (4 * m) == j // (4 * m))
    )


def in_last(m):
    """The ends of stretches of m among the last 4 m, and itself."""
    return lambda i, j: (i == j) | (j < i) & (j % m == m - 1) & (i - j < 4 * m)


def at_distances(m):
    return lambda i, j: np.isin(i - j, m * np.arange(4))


SIZES = (1, 4, 16, 64, 256)
STRETCHES = [in_stretch(m) for m in SIZES]
