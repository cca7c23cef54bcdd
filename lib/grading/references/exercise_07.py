"""Points, reference answers and known mistakes of exercise 07.

Generated from solutions/07_long_sequence_masks.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.grading.known import mistake

CHAPTER = "07_long_sequence_masks"
TITLE = "Long-sequence masks"
TITLES = {
    "7.1": "From memory: distances, and who goes without",
    "7.2": "Find the bug: three slips in a window",
    "7.3": "Blocks, counted by formula",
    "7.4": "Break it with an input: does the order of the layers matter?",
    "7.5": "Diagnosis",
    "7.6": "Few distances, and none missed",
}
POINTS = {
    "7.1": 2,
    "7.2": 2,
    "7.3": 2,
    "7.4": 2,
    "7.5": 2,
    "7.6": 2,
}


def offset_mask(distances, n):
    """Which query (row) may read which key (column); True means may attend.

    >>> offset_mask(np.array([0]), 1)
    array([[ True]])
    """
    i, j = np.ogrid[:n, :n]
    return np.isin(i - j, distances)


def without_keys(distances, n):
    """How many queries read nothing.

    >>> int(without_keys(np.array([0]), 1))
    0
    """
    return min(distances.min(), n)


mistakes_7_1 = [
    mistake("offset_mask", "both ways", "You take the distance without its sign, so a query reads as many keys ahead as behind.")(lambda distances, n: np.isin(np.abs(np.subtract.outer(np.arange(n), np.arange(n))), distances)),
    mistake("offset_mask", "up to the largest", "This is a window: all distances up to the largest one. Allowed are those of the list alone.")(lambda distances, n: np.tri(n, dtype=bool) & ~np.tri(n, k=-int(max(distances)) - 1, dtype=bool)),
    mistake("offset_mask", "own key added", "You let every query read itself. It may do so only if 0 is one of the distances.", bug="own_position_left_out")(lambda distances, n: np.isin(np.subtract.outer(np.arange(n), np.arange(n)), [0, *distances])),
    mistake("offset_mask", "multiples too", "You allow multiples of the distances. In one layer a query reads at the distances themselves.")(lambda distances, n: np.isin(np.subtract.outer(np.arange(n), np.arange(n)), [s * m for s in distances for m in range(n + 1)])),
    mistake("offset_mask", "places for distances", "You let every query read the same places, tokens whose *number* is on the list. A distance is counted from the query.")(lambda distances, n: np.isin(np.arange(n), distances) & np.tri(n, dtype=bool)),
    mistake("offset_mask", "around the end", "Your rule goes around: before token 0 it goes on with the end of the text. That is what a negative index and `np.roll` do.")(lambda distances, n: np.isin(np.subtract.outer(np.arange(n), np.arange(n)) % n, distances)),
    mistake("offset_mask", "around the end", "Your rule goes around: before token 0 it goes on with the end of the text. That is what a negative index and `np.roll` do.")(lambda distances, n: sum(np.roll(np.eye(n), -s, axis=1) for s in distances) > 0),
    mistake("offset_mask", "nothing allowed", "Nothing is allowed. Did you give `np.isin` a set? It does not look into one; give it the array.")(lambda distances, n: np.zeros((n, n), dtype=bool)),
    mistake("offset_mask", "sign of the difference", "Your queries read ahead: the difference is key minus query. A distance is query minus key.", bug="transposed_mask")(lambda distances, n: np.isin(np.subtract.outer(np.arange(n), np.arange(n)), -distances)),
    mistake("without_keys", "largest distance", "You counted the queries that miss *some* key. One distance that fits is enough for a query to read something.")(lambda distances, n: min(max(distances), n)),
    mistake("without_keys", "queries that have every key", "You counted the queries for which every distance fits. Asked are those for which none does.")(lambda distances, n: max(n - max(distances), 0)),
    mistake("without_keys", "longer than the text", "There cannot be more such queries than queries: what if the text is shorter than the smallest distance?")(lambda distances, n: min(distances)),
    mistake("without_keys", "number of the first reader, from 1", "Query number min(distances) reads token 0 already. Positions count from 0.")(lambda distances, n: min(min(distances) + 1, n)),
    mistake("without_keys", "first query alone", "The first query is one of them. What of the second?")(lambda distances, n: int(0 not in distances)),
    mistake("without_keys", "first of the list", "You took the first distance of the list. They stand in any order: which of them decides?")(lambda distances, n: min(distances[0], n)),
    mistake("without_keys", "queries with a key", "These are the queries that read something. Asked are the others.")(lambda distances, n: n - min(min(distances), n)),
    mistake("without_keys", "queries that read themselves", "You counted the queries that do not read themselves. They may read an earlier key.")(lambda distances, n: n * (0 not in distances)),
]


def suspect_bounds(w, layers, period):
    """For each layer, how many keys before and after the query are within bounds."""
    bounds = []
    for layer in range(layers):
        whole_past = layer % period == 0
        bounds.append((-1, 0) if whole_past else (w, w))
    return np.array(bounds)


def kernel_mask(left, right, n):
    """What the kernel makes of its bounds, for a text of n tokens."""
    i, j = np.ogrid[:n, :n]
    return ((i - j <= left) | (left == -1)) & ((j - i <= right) | (right == -1))


def fixed_bounds(w, layers, period):
    """For each layer, how many keys before and after the query are within bounds.

    >>> np.asarray(fixed_bounds(5, 1, 1)).tolist()
    [[-1, 0]]
    """
    whole_past = (np.arange(layers) + 1) % period == 0
    left = np.where(whole_past, -1, w - 1)
    return np.stack([left, np.zeros_like(left)], axis=1)


def telling_distances(w, layers):
    """The first and the last distance that one key too many brings within reach.

    >>> np.asarray(telling_distances(3, 1)).tolist()
    [3, 3]
    """
    return layers * (w - 1) + 1, layers * w


def bounds_of(period, layers, window, past, last=True):
    """The pattern with these bounds, the layer with the whole past at its end or at its beginning."""
    return np.array(
        [past if (layer + last) % period == 0 else window for layer in range(layers)]
    )


mistakes_7_2 = [
    mistake("fixed_bounds", "bug still there", "This gives the same as the suspect. Draw the mask of one window and count the keys of a row in its middle; then see which layers read the whole past.")(lambda w, layers, period: suspect_bounds(w, layers, period)),
    mistake("fixed_bounds", "two mistakes left", "One of the three mistakes is mended, and two are left. Draw the mask of one window and count the keys of a row in its middle; then see which layers read the whole past.")(lambda w, layers, period: bounds_of(period, layers, (w, 0), (-1, 0), last=False)),
    mistake("fixed_bounds", "two mistakes left", "One of the three mistakes is mended, and two are left. Draw the mask of one window and count the keys of a row in its middle; then see which layers read the whole past.")(lambda w, layers, period: bounds_of(period, layers, (w - 1, w - 1), (-1, 0), last=False)),
    mistake("fixed_bounds", "two mistakes left", "One of the three mistakes is mended, and two are left. Draw the mask of one window and count the keys of a row in its middle; then see which layers read the whole past.")(lambda w, layers, period: bounds_of(period, layers, (w, w), (-1, 0))),
    mistake("fixed_bounds", "one key too many", "Count the keys of a row in the middle: `left` says how many stand *before* the query, which reads its own key as well.")(lambda w, layers, period: bounds_of(period, layers, (w, 0), (-1, 0))),
    mistake("fixed_bounds", "one key too few", "Count the keys of a row in the middle: there is one too few. The query's own key is one of the w.")(lambda w, layers, period: bounds_of(period, layers, (w - 2, 0), (-1, 0))),
    mistake("fixed_bounds", "as far ahead as back", "Within the window a token reads as far ahead as back. What may `right` be if no token reads its future?")(lambda w, layers, period: bounds_of(period, layers, (w - 1, w - 1), (-1, 0))),
    mistake("fixed_bounds", "future of the window open", "−1 means no limit: here the windows leave the future open.")(lambda w, layers, period: bounds_of(period, layers, (w - 1, -1), (-1, 0))),
    mistake("fixed_bounds", "whole text for whole past", "The layers with the whole past read the whole future too: −1 means no limit.")(lambda w, layers, period: bounds_of(period, layers, (w - 1, 0), (-1, -1))),
    mistake("fixed_bounds", "first layer of each period", "The layers that read the whole past are the first of every `period`, and should be the last. Layers count from 0 here.")(lambda w, layers, period: bounds_of(period, layers, (w - 1, 0), (-1, 0), last=False)),
    mistake("fixed_bounds", "windows alone", "No layer reads the whole past.")(lambda w, layers, period: bounds_of(layers + 1, layers, (w - 1, 0), (-1, 0))),
    mistake("fixed_bounds", "half the window", "You halved the window, as kernels do that look both ways. This one gets the two sides separately, and one of them is 0.")(lambda w, layers, period: bounds_of(period, layers, (w // 2, 0), (-1, 0))),
    mistake("fixed_bounds", "zero for no limit", "A bound of 0 lets a token read itself alone. No limit is −1.")(lambda w, layers, period: bounds_of(period, layers, (w - 1, 0), (0, 0))),
    mistake("fixed_bounds", "sides exchanged", "The two sides are exchanged: `left` comes first, and it is the past.")(lambda w, layers, period: bounds_of(period, layers, (0, w - 1), (0, -1))),
    mistake("fixed_bounds", "windows and whole past exchanged", "The last layer of each `period` has the window here, and all others read the whole past. It should be the other way around.")(lambda w, layers, period: bounds_of(period, layers, (-1, 0), (w - 1, 0))),
    mistake("telling_distances", "w tokens a layer", "You let a window of w keys reach w tokens back. Its own key is one of the w.")(lambda w, layers: (layers * w + 1, layers * (w + 1))),
    mistake("telling_distances", "one layer alone", "That is so for one layer. The next one goes on from where the first has read.")(lambda w, layers: (w, w)),
    mistake("telling_distances", "one distance alone", "The first distance is right. But each layer has a key too many, and not one of them alone.")(lambda w, layers: (layers * (w - 1) + 1,) * 2),
    mistake("telling_distances", "one past the last", "Your last distance is one further than even the wrong window reaches; `range` would want it so.")(lambda w, layers: (layers * (w - 1) + 1, layers * w + 1)),
    mistake("telling_distances", "one before the last", "The wrong windows reach one further than your last distance. What do w + 1 keys reach in each layer?")(lambda w, layers: (layers * (w - 1) + 1, layers * w - 1)),
    mistake("telling_distances", "reach multiplied", "You multiply what the layers reach. Each goes on from where the other has read: distances add up.")(lambda w, layers: ((w - 1) ** layers + 1, w**layers)),
    mistake("telling_distances", "last right one counted", "The right windows reach your first distance. Asked is the first that they do not reach.")(lambda w, layers: (layers * (w - 1), layers * w)),
    mistake("telling_distances", "tokens for distances", "These count tokens, and the last token itself is one of them. Its distance is 0.")(lambda w, layers: (layers * (w - 1) + 2, layers * w + 1)),
    mistake("telling_distances", "last before first", "The two are exchanged: first the smaller distance.")(lambda w, layers: (layers * w, layers * (w - 1) + 1)),
]


def block_of(n, b, first):
    """The number of each token's block; a query may read its own block and those before it."""
    return (np.arange(n) + b - first) // b


def leaks(n, b, first):
    """How many pairs the block mask allows in which the key comes after the query.

    >>> int(leaks(8, 4, 4)), int(leaks(8, 4, 3))
    (12, 9)
    """
    first = min(first, n)  # a text may end within its first block
    blocks, rest = divmod(n - first, b)
    sizes = np.array([first, *[b] * blocks, rest])
    return (sizes * (sizes - 1) // 2).sum()


def tiles_read(n, w, b):
    """How many tiles of b × b pairs hold a pair that the causal window of w keys allows.

    >>> int(tiles_read(6, 1, 2))
    3
    """
    row = np.arange(-(-n // b))  # rows of tiles; the last may be cut short
    oldest = np.maximum(row * b - (w - 1), 0)  # the first key of each one's first query
    return (row - oldest // b + 1).sum()


def cut(n, b, first):
    """The sizes of the first block, of all whole ones, and of the last."""
    first = min(first, n)
    blocks, rest = divmod(n - first, b)
    return np.array([first]), np.full(blocks, b), np.array([rest])


def pairs_ahead(*sizes):
    sizes = np.concatenate(sizes)
    return (sizes * (sizes - 1) / 2).sum()


mistakes_7_3 = [
    mistake("leaks", "first block taken for whole", "You counted the first block as a whole one. It has `first` tokens.")(lambda n, b, first: pairs_ahead(*cut(n, b, b))),
    mistake("leaks", "all blocks whole", "That is right where all blocks are whole. The first has `first` tokens, and the last what is left.")(lambda n, b, first: n * (b - 1) / 2),
    mistake("leaks", "last block left out", "You left out the last block, which may have fewer tokens. They see each other's future as well.")(lambda n, b, first: pairs_ahead(*cut(n, b, first)[:2])),
    mistake("leaks", "last block taken for whole", "You counted the last block as a whole one. Some of its tokens do not exist.")(lambda n, b, first: pairs_ahead(cut(n, b, first)[0], np.full(-(-(n - min(first, n)) // b), b))),
    mistake("leaks", "first block left out", "You left out the first block. It is short, and its tokens see each other's future as well.")(lambda n, b, first: pairs_ahead(*cut(n, b, first)[1:])),
    mistake("leaks", "text longer than its first block", "What if the text ends within its first block? Then that has n tokens.")(lambda n, b, first: first * (first - 1) / 2 + max(n - first, 0) // b * b * (b - 1) / 2 + max(n - first, 0) % b * (max(n - first, 0) % b - 1) / 2),
    mistake("leaks", "text longer than its first block", "What if the text ends within its first block? Then that has n tokens.")(lambda n, b, first: (first * (first - 1) + (n - first) // b * b * (b - 1) + (n - first) % b * ((n - first) % b - 1)) // 2),
    mistake("leaks", "document's first block", "Your first block has b − 1 tokens always, as in document 004. Here it has `first`.")(lambda n, b, first: pairs_ahead(*cut(n, b, b - 1))),
    mistake("leaks", "rest for the first block", "Your first block has b − `first` tokens. It should have `first`.")(lambda n, b, first: pairs_ahead(*cut(n, b, b - first))),
    mistake("leaks", "pairs that look back", "You counted the allowed pairs in which the key comes *before* the query. Those are no leaks.")(lambda n, b, first: np.tril(block_of(n, b, first)[:, None] >= block_of(n, b, first), k=-1).sum()),
    mistake("leaks", "both halves", "You counted the pairs that look ahead and those that look back. Half of them leak.")(lambda n, b, first: 2 * pairs_ahead(*cut(n, b, first))),
    mistake("leaks", "diagonal counted", "A pair of a token with itself is no leak: j = i is allowed in every causal mask.")(lambda n, b, first: pairs_ahead(*cut(n, b, first)) + n),
    mistake("leaks", "all pairs of the mask", "You counted all allowed pairs. Asked are those in which the key comes after the query.")(lambda n, b, first: (block_of(n, b, first)[:, None] >= block_of(n, b, first)).sum()),
    mistake("leaks", "all pairs within blocks", "You counted all pairs within a block. Asked are those in which the key comes after the query.")(lambda n, b, first: (block_of(n, b, first)[:, None] == block_of(n, b, first)).sum()),
    mistake("leaks", "tokens for pairs", "You counted the tokens that see some of their future. Asked are pairs.")(lambda n, b, first: n - len(set(block_of(n, b, first).tolist()))),
    mistake("tiles_read", "first rows like the others", "In the first rows there is less to read than in the middle: no tile lies before the beginning.")(lambda n, w, b: -(-n // b) * (-(-(w - 1) // b) + 1)),
    mistake("tiles_read", "own key counted twice", "The first query of a row reads w − 1 keys before itself, and not w. Try a w that is one more than a multiple of b.")(lambda n, w, b: np.minimum(np.arange(1, -(-n // b) + 1), -(-w // b) + 1).sum()),
    mistake("tiles_read", "window in whole tiles", "A window of w keys does not begin where a tile begins, so it can touch one more than ⌈w/b⌉.")(lambda n, w, b: np.minimum(np.arange(1, -(-n // b) + 1), -(-w // b)).sum()),
    mistake("tiles_read", "window in whole tiles", "A window of w keys does not begin where a tile begins, so it can touch one more than ⌈w/b⌉.")(lambda n, w, b: np.minimum(np.arange(1, -(-n // b) + 1), w // b + 1).sum()),
    mistake("tiles_read", "text longer than the window", "Your sum is right where the text is longer than the window. With fewer rows of tiles than a row reads, there is less to take off.")(lambda n, w, b: (lambda rows, each: rows * each - each * (each - 1) / 2)(-(-n // b), -(-(w - 1) // b) + 1)),
    mistake("tiles_read", "last query of each row", "You asked the last query of each row of tiles. Which of its queries reads furthest back?")(lambda n, w, b: sum(row - max(min(row * b + b, n) - w, 0) // b + 1 for row in range(-(-n // b)))),
    mistake("tiles_read", "no window", "These are the tiles of the causal mask. The window leaves the old ones out.")(lambda n, w, b: -(-n // b) * (-(-n // b) + 1) / 2),
    mistake("tiles_read", "last row left out", "The last row of tiles has fewer queries than the others. They read too.")(lambda n, w, b: np.minimum(np.arange(1, n // b + 1), -(-(w - 1) // b) + 1).sum()),
    mistake("tiles_read", "both sides", "You counted tiles to the right of the diagonal as well. They hold the future alone.")(lambda n, w, b: sum(abs(r - c) <= -(-(w - 1) // b) for r in range(-(-n // b)) for c in range(-(-n // b)))),
    mistake("tiles_read", "pairs for tiles", "You counted pairs. Asked are tiles of b × b of them.")(lambda n, w, b: sum(min(i + 1, w) for i in range(n))),
    mistake("tiles_read", "pairs in the tiles", "You counted the pairs that the tiles hold. Asked are the tiles.")(lambda n, w, b: b * b * sum(row + 1 - max(row * b - w + 1, 0) // b for row in range(-(-n // b)))),
]


def first_missed(first, second):
    """The smallest distance from the last token that no chain bridges; n if there is none.

    >>> int(first_missed(np.eye(4, dtype=bool), np.tri(4, dtype=bool)))
    4
    """
    n = len(first)
    reached = np.arange(n) == n - 1  # from the output down: the last layer reads first
    for mask in (second, first):
        reached = reached | mask[reached].any(axis=0)
    return np.append(~reached[::-1], True).argmax()


row, key = np.ogrid[:8, :8]
two_layers = (
    (key <= row) & (key // 4 == row // 4),  # own block: knows where a token stands
    (key <= row) & (row - key < 2),  # a window of two keys
)


def walked(*masks, keep=True, columns=False):
    """The tokens that are reached from the last one, the masks taken in the order given."""
    n = len(masks[0])
    reached = np.arange(n) == n - 1
    for mask in masks:
        step = (mask.T if columns else mask)[reached].any(axis=0)
        reached = reached | step if keep else step
    return reached


def first_gap(reached):
    return np.append(~reached[::-1], True).argmax()


def longest(mask):
    """How far back the last token reads at most."""
    return len(mask) - 1 - np.append(mask[-1, :-1], True).argmax()


mistakes_7_4 = [
    mistake("first_missed", "first layer read first", "You begin at the last token with the mask of the *first* layer. In which layer does the output read?")(lambda first, second: first_gap(walked(first, second))),
    mistake("first_missed", "residual forgotten", "A token keeps what it has from layer to layer. So a chain may rest: a distance that was reached stays reached.")(lambda first, second: first_gap(walked(second, first, keep=False))),
    mistake("first_missed", "residual forgotten, and first layer first", "Two things: a token keeps what it has, so what was reached stays reached; and the output reads in the last layer.")(lambda first, second: first_gap(walked(first, second, keep=False))),
    mistake("first_missed", "layers side by side", "You asked what the last token reads in one layer or the other. The tokens that it reads have read others before.")(lambda first, second: first_gap((first | second | np.eye(len(first), dtype=bool))[-1])),
    mistake("first_missed", "last layer alone", "You asked the last layer alone. The tokens that it reads have read others before.")(lambda first, second: first_gap(walked(second))),
    mistake("first_missed", "reached, counted", "You counted the tokens that are reached. Where there is a gap among them, the first missed distance is smaller.")(lambda first, second: walked(second, first).sum()),
    mistake("first_missed", "missed, counted", "You counted the tokens that are missed. Asked is the distance of the nearest one.")(lambda first, second: (~walked(second, first)).sum()),
    mistake("first_missed", "furthest missed", "You gave the furthest distance that is missed. Asked is the nearest.")(lambda first, second: (lambda reached: len(first) if reached.all() else len(first) - 1 - reached.argmin())(walked(second, first))),
    mistake("first_missed", "furthest reached", "You took what lies behind the furthest token that is reached. A nearer one may have been missed.")(lambda first, second: len(first) - walked(second, first).argmax()),
    mistake("first_missed", "nothing missed", "Where every token is reached, `argmin` finds no gap and gives 0. Asked is n then.")(lambda first, second: walked(second, first)[::-1].argmin()),
    mistake("first_missed", "none for nothing missed", "Where every token is reached there is no gap to be found. Asked is n then.")(lambda first, second: (lambda gap: gap if gap < len(first) else -1)(first_gap(walked(second, first)))),
    mistake("first_missed", "one before the gap", "You gave the last distance before the gap. Asked is the first one that is missed.")(lambda first, second: first_gap(walked(second, first)) - 1),
    mistake("first_missed", "place for distance", "You gave the place of the token. Asked is its distance from the last one.")(lambda first, second: len(first) - 1 - first_gap(walked(second, first))),
    mistake("first_missed", "readers for those read", "Columns are keys. Row i of a mask says what token i reads.")(lambda first, second: first_gap(walked(second, first, columns=True))),
    mistake("first_missed", "longest readings added up", "You added up how far the last token reads in each layer. A mask may leave out what lies in between, and the rows of other tokens may look different.")(lambda first, second: min(longest(first) + longest(second) + 1, len(first))),
]


def shares(text):
    """Right answers in percent, at the distances 1 to 23."""
    return np.array(text.split(), dtype=int)


SOUND = shares(
    "100 100 100 100 100 100 100 100 100 100 100 100 100 100 10 10 10 10 10 10 10 10 10"
)
rows = {
    "A": shares(
        "100 100 100 100 100 100 100 10 10 20 10 10 10 10 10 10 10 10 10 10 10 10 10"
    ),
    "B": shares(
        "100 100 100 100 100 100 100 100 100 100 100 100 100 100 100 100 10 10 10 10 10 10 10"
    ),
    "C": shares(
        "100 100 100 100 100 100 100 100 100 100 100 100 100 100 10 10 10 10 10 10 10 10 100"
    ),
    "D": shares(
        "10 100 10 100 10 100 10 100 10 100 10 100 10 10 10 10 10 20 10 10 10 10 10"
    ),
}


def all_rows():
    """For each distance: the distance, then A, B, C and D."""
    return np.array([np.arange(1, 24), *rows.values()]).T


diagnosis = (5, 2, 7, 6)


def first_gap_of(distances, layers):
    """The smallest distance that `layers` readings at these distances do not add up to."""
    reached = {0}
    for _ in range(layers):
        reached = {one + int(step) for one in reached for step in distances}
    return min({*range(max(reached) + 2)} - reached)


few_distances = [0, 1, 3, 8, 19, 28, 41, 81, 91, 167, 177, 209, 226]
