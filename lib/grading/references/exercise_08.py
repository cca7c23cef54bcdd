"""Points, reference answers and known mistakes of exercise 08.

Generated from solutions/08_adaptive_masks.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.grading.known import mistake

CHAPTER = "08_adaptive_masks"
TITLE = "Adaptive masks"
TITLES = {
    "8.1": "From memory: a gate, and a mask that waits",
    "8.2": "Find the bug: a router that has read ahead",
    "8.3": "So many keys, or so much weight",
    "8.4": "Break it with an input: the layer in which keys choose",
    "8.5": "Diagnosis",
    "8.6": "What a choice costs, and what it finds",
}
POINTS = {
    "8.1": 2,
    "8.2": 2,
    "8.3": 2,
    "8.4": 2,
    "8.5": 2,
    "8.6": 2,
}


def softmax(scores):
    """Rows of weights; −∞ is allowed, as long as a row has another number too."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gated(scores, gate, allowed):
    """Weights in the ratio of gate · e^score, and 0 where a pair is shut or not allowed.

    >>> np.asarray(gated(np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1), dtype=bool))).tolist()
    [[1.0]]
    """
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant
        return softmax(scores + np.log(gate) + np.log(allowed))


def waiting(k, n_target, n_source):
    """Which source words (columns) each word of the translation (row) may read.

    >>> waiting(1, 1, 2)
    array([[ True, False]])
    """
    t, s = np.ogrid[:n_target, :n_source]
    return s < t + k


def shut_out(scores, allowed):
    return np.where(allowed, scores, -np.inf)


def shares(numbers):
    return numbers / numbers.sum(axis=1, keepdims=True)


mistakes_8_1 = [
    mistake("gated", "gate and mask times the scores", "You multiplied the scores by the gate and by the mask. A score of 0 is a weight like any other, e⁰ = 1, and the future is read as well.", bug="multiplicative_mask")(lambda scores, gate, allowed: softmax(scores * gate * allowed)),
    mistake("gated", "gate times the scores", "You multiplied the scores by the gate. A shut gate then makes a score of 0, and that is a weight like any other: e⁰ = 1.")(lambda scores, gate, allowed: softmax(shut_out(scores * gate, allowed))),
    mistake("gated", "gate added", "You added the gate to the scores. A factor in front of e^score is another summand in the exponent.")(lambda scores, gate, allowed: softmax(shut_out(scores + gate, allowed))),
    mistake("gated", "weights not shared out again", "You multiplied the weights, and their sum is less than 1 now: what a shut pair had is lost, and not shared out among the others.", bug="masked_after_the_softmax")(lambda scores, gate, allowed: gate * softmax(shut_out(scores, allowed))),
    mistake("gated", "gate open or shut", "You open or shut each gate altogether. Half open is between: half the ratio.")(lambda scores, gate, allowed: softmax(shut_out(scores, allowed & (gate > 0.5)))),
    mistake("gated", "gate open or shut", "You open or shut each gate altogether. Half open is between: half the ratio.")(lambda scores, gate, allowed: softmax(shut_out(scores, allowed & (gate >= 0.5)))),
    mistake("gated", "gate not shut takes part in full", "Whatever is not quite shut counts in full here. Half open is between: half the ratio.")(lambda scores, gate, allowed: softmax(shut_out(scores, allowed & (gate > 0)))),
    mistake("gated", "mask forgotten", "Pairs that are not allowed have weight: the gate does not know of the mask.")(lambda scores, gate, allowed: shares(gate * np.exp(scores))),
    mistake("gated", "gate forgotten", "The gate plays no part.")(lambda scores, gate, allowed: softmax(shut_out(scores, allowed))),
    mistake("gated", "shut after the softmax", "You took the softmax of all scores, the future's among them, and shut pairs afterwards. What they had is lost.", bug="masked_after_the_softmax")(lambda scores, gate, allowed: gate * allowed * softmax(scores)),
    mistake("waiting", "one word too many", "The first word reads k + 1 words here. Positions count from 0.")(lambda k, n_target, n_source: np.tri(n_target, n_source, k, dtype=bool)),
    mistake("waiting", "one word too few", "The first word reads k − 1 words here. Positions count from 0.")(lambda k, n_target, n_source: np.tri(n_target, n_source, k - 2, dtype=bool)),
    mistake("waiting", "causal mask", "Each word reads as many source words as have been written, and itself. Where is the wait of k words?")(lambda k, n_target, n_source: np.tri(n_target, n_source, dtype=bool)),
    mistake("waiting", "never more than k", "Every word reads the first k words and no more. For each word that is written one more is read.")(lambda k, n_target, n_source: np.arange(n_source) < k + np.zeros((n_target, 1))),
    mistake("waiting", "k words for each one", "You wait k words before each word. The wait is at the beginning alone; then one more is read for each.")(lambda k, n_target, n_source: np.arange(n_source) < k * (np.arange(n_target)[:, None] + 1)),
    mistake("waiting", "window of k words", "You read the k newest words and forget those before. Whatever has been heard may be read.")(lambda k, n_target, n_source: (np.subtract.outer(np.arange(n_target), np.arange(n_source)) > -k) & (np.subtract.outer(np.arange(n_target), np.arange(n_source)) <= 0)),
    mistake("waiting", "delayed instead of ahead", "You let the source be k words behind the translation. It is ahead.")(lambda k, n_target, n_source: np.tri(n_target, n_source, -k, dtype=bool)),
    mistake("waiting", "other corner", "You began at the end: your last word reads the whole source, whatever k is. The wait is counted from the first word.")(lambda k, n_target, n_source: np.tri(n_target, n_source, n_source - n_target, dtype=bool)),
]


def bounds(q, low, high):
    """The largest product of each query (n, d) with keys between `low` and `high` (blocks, d)."""
    return np.maximum(q[:, None] * low, q[:, None] * high).sum(axis=-1)


def suspect_choice(q, k, b, keep):
    """Which blocks of b keys each query reads: booleans of shape (n, blocks)."""
    blocks = k.reshape(-1, b, k.shape[1])
    own = np.arange(len(q))[:, None] // b  # the number of each query's own block
    begun = np.arange(len(blocks)) <= own
    bound = bounds(q, blocks.min(axis=1), blocks.max(axis=1))
    bound = np.where(begun, bound, -np.inf)
    best = np.argsort(-bound, axis=1, kind="stable")[:, :keep]
    chosen = np.zeros(bound.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen & begun


def fixed_choice(q, k, b, keep):
    """Which blocks of b keys each query reads: booleans of shape (n, blocks).

    >>> np.asarray(fixed_choice(np.ones((3, 1)), np.ones((3, 1)), 2, 1)).astype(int).tolist()
    [[1, 0], [1, 0], [0, 1]]
    """
    finished = len(k) // b  # nobody needs the bounds of the others
    blocks = k[: finished * b].reshape(finished, b, k.shape[1])
    own = np.arange(len(q))[:, None] // b
    block = np.arange(-(-len(k) // b))
    bound = np.full((len(q), len(block)), -np.inf)
    bound[:, :finished] = bounds(q, blocks.min(axis=1), blocks.max(axis=1))
    bound[block >= own] = -np.inf  # the own block is read unasked
    best = np.argsort(-bound, axis=1, kind="stable")[:, : keep - 1]
    chosen = np.zeros(bound.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen & (block < own) | (block == own)


def chosen_blocks(
    q, k, b, places, *, competing="past", own=True, within=True, score=None
):
    """A choice of blocks with what may be wrong about it."""
    parts = [k[first : first + b] for first in range(0, len(k), b)]
    low, high = (
        np.stack([f(part, axis=0) for part in parts]) for f in (np.min, np.max)
    )
    numbers = bounds(q, low, high) if score is None else score(q, parts)
    home, block = np.arange(len(q))[:, None] // b, np.arange(len(parts))
    complete = block < (np.arange(len(q))[:, None] + 1) // b
    takes_part = {
        "past": block < home,
        "complete": complete,
        "begun": block <= home,
        "all": block >= 0,
    }
    numbers = np.where(takes_part[competing], numbers, -np.inf)
    best = np.argsort(-numbers, axis=1, kind="stable")[:, :places]
    chosen = np.zeros(numbers.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    if within:
        chosen &= block <= home if competing == "begun" else block < home
    return chosen | (block == home) if own else chosen


def smallest_bounds(q, parts):
    low, high = (
        np.stack([f(part, axis=0) for part in parts]) for f in (np.min, np.max)
    )
    return -bounds(q, low, high)


def mean_keys(q, parts):
    return q @ np.stack([part.mean(axis=0) for part in parts]).T


def largest_numbers(q, parts):
    return q @ np.stack([part.max(axis=0) for part in parts]).T


def best_keys(q, parts):
    return np.stack([(q @ part.T).max(axis=1) for part in parts], axis=1)


def own_first(q, parts):
    home = np.arange(len(q))[:, None] // len(parts[0])
    return np.where(np.arange(len(parts)) == home, np.inf, -smallest_bounds(q, parts))


def from_the_right(q, parts):
    return -smallest_bounds(q, parts) + 1e-9 * np.arange(len(parts))


def newest(q, parts):
    return np.tile(np.arange(len(parts)), (len(q), 1))


def by_what_has_come(q, k, b, keep):
    rows = np.zeros((len(q), -(-len(k) // b)), dtype=bool)
    for i, query in enumerate(q):
        parts = [k[first : min(first + b, i + 1)] for first in range(0, i + 1, b)]
        scores = np.array([(query * part).max(axis=0).sum() for part in parts])
        rows[i, np.argsort(-scores, kind="stable")[:keep]] = True
    return rows


mistakes_8_2 = [
    mistake("fixed_choice", "bug still there", "This gives the same as the suspect. Whose bounds are not final when a query asks for them?", bug="own_unfinished_block_scored")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep, competing="begun", own=False)),
    mistake("fixed_choice", "own block read, and still scored", "Every query reads its own block now, and it is still scored, by bounds that know later keys. Whether it takes a place from another block depends on them.", bug="own_unfinished_block_scored")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep, competing="begun")),
    mistake("fixed_choice", "own block read, and still scored", "Every query reads its own block now, and it is still scored, by bounds that know later keys. Whether it takes a place from another block depends on them.", bug="own_unfinished_block_scored")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, competing="begun")),
    mistake("fixed_choice", "own block by what has come", "You score the own block by its keys so far. That tells nothing of the future, but the own block may lose, and it is to be read in any case.")(lambda q, k, b, keep: by_what_has_come(q, k, b, keep)),
    mistake("fixed_choice", "own block left out", "No query reads its own block, and those of the first block read nothing. The own block needs no score: it is read in any case.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, own=False)),
    mistake("fixed_choice", "own block left out, its place given away", "No query reads its own block; its place went to one block more. The own block needs no score: it is read in any case.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep, own=False)),
    mistake("fixed_choice", "one block too many", "A query reads `keep` blocks besides its own. Its own is one of the `keep`.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep)),
    mistake("fixed_choice", "later blocks compete", "Blocks that come later compete for the places, and are taken out afterwards. Each place that they win is lost to the past.", bug="top_k_before_the_mask")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, competing="all")),
    mistake("fixed_choice", "places that nobody has won", "Early queries have fewer blocks behind them than places. `argsort` fills the rest with blocks of score −∞, later ones among them.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, within=False)),
    mistake("fixed_choice", "places that nobody has won", "Early queries have fewer blocks behind them than places. `argsort` fills the rest with blocks of score −∞, later ones among them.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep, competing="begun", own=False, within=False, score=own_first)),
    mistake("fixed_choice", "own block competes at its end", "The last query of a block lets its own block compete with those before it, since it is complete by then. It is read in any case, and would take a place twice.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, competing="complete")),
    mistake("fixed_choice", "equal ones from the right", "Of equal bounds you keep those on the right. A sort that is turned around does that: sort `-bound` instead.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, score=from_the_right)),
    mistake("fixed_choice", "newest blocks", "You keep the newest blocks, whatever their bounds.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, score=newest)),
    mistake("fixed_choice", "smallest bounds", "You took the blocks with the smallest bounds.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, score=smallest_bounds)),
    mistake("fixed_choice", "mean keys", "You score a block by its mean key. Here its smallest and largest numbers bound what it can hold.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, score=mean_keys)),
    mistake("fixed_choice", "largest numbers alone", "You use the largest numbers alone. Where a query has a negative number, the smallest ones make the largest product.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, score=largest_numbers)),
    mistake("fixed_choice", "best key", "You score a block by the best of its keys. That means reading all of them; the bound knows the block's extremes alone, and is larger.")(lambda q, k, b, keep: chosen_blocks(q, k, b, keep - 1, score=best_keys)),
    mistake("fixed_choice", "own block alone", "Every query reads its own block and no other.")(lambda q, k, b, keep: chosen_blocks(q, k, b, 0)),
    mistake("fixed_choice", "all blocks before", "You keep all blocks before the query, whatever `keep` says.")(lambda q, k, b, keep: chosen_blocks(q, k, b, len(k))),
]


SOME_SCORES = np.log(np.array([[1, 9, 9, 9], [3, 1, 9, 9], [1, 5, 4, 9], [4, 2, 1, 3]]))


def weights_of_the_past(scores):
    """The weights of all keys that the causal mask allows."""
    return softmax(np.where(np.tri(len(scores), dtype=bool), scores, -np.inf))


def best_k(scores, k):
    """Which keys each query keeps: the k best of its past.

    >>> np.asarray(best_k(np.array([[0.0, 5.0], [0.0, 5.0]]), 1)).astype(int).tolist()
    [[1, 0], [0, 1]]
    """
    past = np.tri(len(scores), dtype=bool)
    order = np.argsort(-np.where(past, scores, -np.inf), axis=1, kind="stable")
    kept = np.zeros(past.shape, dtype=bool)
    np.put_along_axis(kept, order[:, :k], True, axis=1)
    return kept & past  # early queries have fewer than k keys


def best_share(scores, p):
    """Which keys each query keeps: as few of its past as have the share p of the weight.

    >>> np.asarray(best_share(np.array([[0.0, 5.0], [0.0, 5.0]]), 0.9)).astype(int).tolist()
    [[1, 0], [0, 1]]
    """
    weights = weights_of_the_past(scores)
    order = np.argsort(-weights, axis=1, kind="stable")
    ordered = np.take_along_axis(weights, order, axis=1)
    before = ordered.cumsum(axis=1) - ordered  # what those before it share
    kept = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(kept, order, before < p, axis=1)
    return kept & np.tri(len(scores), dtype=bool)


def ranks(numbers, axis=1):
    order = np.argsort(-numbers, axis=axis, kind="stable")
    return np.argsort(order, axis=axis, kind="stable")


def past_of(scores):
    return np.tri(len(scores), dtype=bool)


def of_the_past(scores, low=-np.inf):
    return np.where(past_of(scores), scores, low)


def from_the_best(weights):
    return np.argsort(-weights, axis=1, kind="stable")


def kept_before(weights, p, order, crossing=True, within=True):
    """Keys in this order, while those before them share less than p."""
    ordered = np.take_along_axis(weights, order, axis=1)
    shared = ordered.cumsum(axis=1)
    kept = np.zeros(weights.shape, dtype=bool)
    while_less = shared - ordered < p if crossing else shared <= p
    np.put_along_axis(kept, order, while_less, axis=1)
    return kept & past_of(weights) if within else kept


def left_in_order(weights, p):
    ordered = -np.sort(-weights, axis=1)
    return ordered.cumsum(axis=1) - ordered < p


mistakes_8_3 = [
    mistake("best_k", "chosen before the mask", "Later keys compete for the k places, and are taken out afterwards. Each place that they win is lost to the past.", bug="top_k_before_the_mask")(lambda scores, k: (ranks(scores) < k) & past_of(scores)),
    mistake("best_k", "no mask", "Queries keep keys of their future.")(lambda scores, k: ranks(scores) < k),
    mistake("best_k", "keys choose", "Your columns are chosen: each key takes its k best queries, and a later query may push an earlier one out. Let each query choose.", bug="keys_choose_queries")(lambda scores, k: (ranks(of_the_past(scores), axis=0) < k) & past_of(scores)),
    mistake("best_k", "places that nobody has won", "Early queries have fewer than k keys. `argsort` fills the rest with keys of score −∞, later ones among them.")(lambda scores, k: ranks(of_the_past(scores)) < k),
    mistake("best_k", "order read as ranks", "`argsort` says which key is the best, the second … You read it as the rank of each key. Use `np.put_along_axis`, or apply `argsort` to it once more.")(lambda scores, k: (np.argsort(-of_the_past(scores), axis=1, kind="stable") < k) & past_of(scores)),
    mistake("best_k", "one key too many", "You keep k + 1 keys.")(lambda scores, k: (ranks(of_the_past(scores)) < k + 1) & past_of(scores)),
    mistake("best_k", "one key too few", "You keep k − 1 keys.")(lambda scores, k: (ranks(of_the_past(scores)) < k - 1) & past_of(scores)),
    mistake("best_k", "equal ones all kept", "You keep every key that is as good as the k-th one. Where scores are equal that is more than k.")(lambda scores, k: (of_the_past(scores) >= -np.sort(-of_the_past(scores), axis=1)[:, min(k, len(scores)) - 1][:, None]) & past_of(scores)),
    mistake("best_k", "equal ones from the right", "Of equal scores you keep those on the right. A sort that is turned around does that: sort `-scores` instead.")(lambda scores, k: (ranks(of_the_past(scores)[:, ::-1])[:, ::-1] < k) & past_of(scores)),
    mistake("best_k", "smallest scores", "You keep the keys with the smallest scores.")(lambda scores, k: (ranks(-of_the_past(scores, np.inf)) < k) & past_of(scores)),
    mistake("best_k", "own key always", "Every query keeps its own key besides. It competes like the others here.")(lambda scores, k: ((ranks(of_the_past(scores)) < k) & past_of(scores)) | np.eye(len(scores), dtype=bool)),
    mistake("best_k", "newest keys", "You keep the k newest keys, whatever their scores.")(lambda scores, k: past_of(scores) & ~np.tri(len(scores), k=-k, dtype=bool)),
    mistake("best_k", "future keys of score 0", "You gave later keys the score 0 and let them compete. Where the past is negative they win.")(lambda scores, k: (ranks(of_the_past(scores, 0.0)) < k) & past_of(scores)),
    mistake("best_k", "size of the scores", "You compare sizes without their sign. A score of −9 is a small one.")(lambda scores, k: (ranks(np.where(past_of(scores), np.abs(scores), -np.inf)) < k) & past_of(scores)),
    mistake("best_share", "stops too early", "You leave out the key with which p is reached. What is kept then shares less than p, and a row may keep nothing.")(lambda scores, p: kept_before(weights_of_the_past(scores), p, np.argsort(-weights_of_the_past(scores), axis=1, kind="stable"), crossing=False)),
    mistake("best_share", "later keys take their share", "The softmax runs over all keys, so later ones take part of the weight, and rank among the others. Mask first.", bug="masked_after_the_softmax")(lambda scores, p: kept_before(softmax(scores), p, np.argsort(-softmax(scores), axis=1, kind="stable"))),
    mistake("best_share", "masked after the softmax", "You took the softmax of all scores and the future away afterwards: what is left shares less than 1, and more keys are needed to come to p. Mask first.", bug="masked_after_the_softmax")(lambda scores, p: kept_before(softmax(scores) * past_of(scores), p, from_the_best(of_the_past(scores)))),
    mistake("best_share", "no mask", "Queries keep keys of their future.")(lambda scores, p: kept_before(softmax(scores), p, from_the_best(scores), within=False)),
    mistake("best_share", "left in sorted order", "You count along the sorted weights, and the result is still in their order. Put each decision back at its key, with `np.put_along_axis`.")(lambda scores, p: left_in_order(weights_of_the_past(scores), p)),
    mistake("best_share", "each key for itself", "You keep the keys that have p or more, each for itself. What they share *together* counts.")(lambda scores, p: weights_of_the_past(scores) >= p),
    mistake("best_share", "not the rest", "You keep the keys whose weight is at least 1 − p, each for itself. What the kept ones share together counts.")(lambda scores, p: (weights_of_the_past(scores) >= 1 - p) & past_of(scores)),
    mistake("best_share", "part of the largest weight", "You compare each key with the best one. What the kept ones share together counts.")(lambda scores, p: weights_of_the_past(scores) >= p * weights_of_the_past(scores).max(axis=1, keepdims=True)),
    mistake("best_share", "smallest first", "You begin with the smallest weights. As few keys as possible: begin with the largest.")(lambda scores, p: kept_before(weights_of_the_past(scores), p, np.argsort(weights_of_the_past(scores), axis=1, kind="stable"))),
    mistake("best_share", "numbers that are no weights", "You add up e^score, which is no weight yet: each row must be divided by its sum first.")(lambda scores, p: kept_before(np.where(past_of(scores), np.exp(scores), 0), p, np.argsort(-of_the_past(scores), axis=1, kind="stable"))),
    mistake("best_share", "part of the keys", "You keep that part of the *number* of keys. Their weights count.")(lambda scores, p: ranks(of_the_past(scores)) < np.ceil(p * (np.arange(len(scores)) + 1))[:, None]),
    mistake("best_share", "one more than needed", "You keep one key more than you need: with the key that reaches p it is enough.")(lambda scores, p: best_share(scores, p) | ((ranks(of_the_past(scores)) == best_share(scores, p).sum(axis=1, keepdims=True)) & past_of(scores))),
    mistake("best_share", "from the left", "You add the weights up from the left. As few keys as possible: begin with the largest.")(lambda scores, p: kept_before(weights_of_the_past(scores), p, np.argsort(0 * scores, axis=1, kind="stable"))),
    mistake("best_share", "newest first", "You begin with the newest keys. As few keys as possible: begin with the largest weights.")(lambda scores, p: kept_before(weights_of_the_past(scores)[:, ::-1], p, np.argsort(np.zeros(scores.shape), axis=1, kind="stable"), within=False)[:, ::-1] & past_of(scores)),
    mistake("best_share", "all of the past", "You keep the whole past. As few keys as possible are asked for.")(lambda scores, p: np.tri(len(scores), dtype=bool)),
    mistake("best_share", "best key alone", "You keep the best key alone. It may have less than p.")(lambda scores, p: ranks(of_the_past(scores)) < 1),
]


def chosen_by_keys(x):
    """Which keys (columns) each query (row) reads: those that have chosen it, and itself."""
    scores = np.where(np.tri(len(x), dtype=bool), x @ x.T, -np.inf)
    chosen = np.eye(len(x), dtype=bool)
    best = np.argsort(-scores, axis=0, kind="stable")[:2]  # of each key: two queries
    np.put_along_axis(chosen, best, True, axis=0)
    return chosen & (scores > -np.inf)


def keys_choose(x):
    """The outputs of the layer, of shape (n, d)."""
    x = np.asarray(x, dtype=float)
    return softmax(np.where(chosen_by_keys(x), x @ x.T, -np.inf)) @ x


# Key 0 chooses its own query and the larger of the two others.
breaking_pair = (np.array([[2.0], [0.5], [0.0]]), np.array([[2.0], [0.5], [2.0]]))
silent_pair = (np.array([[2.0], [0.5], [0.0]]), np.array([[2.0], [0.5], [-1.0]]))


tables = {
    "A": np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 2, 2, 2, 2, 0, 2, 2],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 2, 0, 0],
            [0, 0, 0, 0, 0, 0, 2, 0, 0, 2],
            [0, 0, 0, 0, 0, 0, 0, 0, 2, 2],
            [0, 0, 0, 0, 0, 0, 0, 0, 2, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
    ),
    "B": np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
    ),
    "C": np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 1, 0, 0, 1, 1],
            [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
    ),
    "D": np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 2, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 2, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
    ),
}


def table_of(layer):
    """The table of one layer."""
    return tables[layer]


def without_a_mask():
    """The table of a layer that has no mask: every later key is read."""
    return np.triu(np.ones((10, 10), dtype=int), k=1)


diagnosis = (4, 3, 2, 5)


ROWS, COLUMNS = np.ogrid[:10, :10]
PAST, HOME, BLOCKS = COLUMNS <= ROWS, ROWS // 2, np.arange(5)


def winners(numbers, allowed, count, axis=1):
    """The `count` largest of the allowed numbers along an axis, as booleans."""
    order = np.argsort(-np.where(allowed, numbers, -np.inf), axis=axis, kind="stable")
    places = np.argsort(order, axis=axis, kind="stable")
    return (places < count) & allowed


def block_means(x):
    return x.reshape(5, 2, -1).mean(axis=1)


def to_keys(blocks):
    return np.repeat(blocks, 2, axis=1) & PAST


def with_own_block(chooser, k):
    best = winners(chooser @ block_means(k).T, BLOCKS < HOME, 1)
    return to_keys(best | (BLOCKS == HOME))


CHOICES = {
    1: lambda q, k: with_own_block(q, k),
    2: lambda q, k: winners(q @ k.T, PAST | True, 3) & PAST,
    3: lambda q, k: to_keys(winners(q @ block_means(k).T, BLOCKS <= HOME, 2)),
    4: lambda q, k: winners(q @ k.T, PAST, 3, axis=0),
    5: lambda q, k: with_own_block(np.repeat(block_means(q), 2, axis=0), k),
    6: lambda q, k: PAST | True,
    7: lambda q, k: COLUMNS // 2 <= ROWS // 2,
}


def outputs_of(choice, q, k, v):
    """Rows without a key give zeros."""
    chosen = choice(q, k)
    e = chosen * np.exp(q @ k.T)
    return e @ v / np.maximum(e.sum(axis=1, keepdims=True), 1e-300)


def moved_by(choice):
    """The table of a layer: 1 where a later key moves an output, 2 where a later query does."""
    rng = np.random.default_rng(85)
    q, k, v = rng.normal(size=(3, 10, 4))
    before = outputs_of(choice, q, k, v)
    table = np.zeros((10, 10), dtype=int)
    for j in range(10):
        for which in (1, 2):
            moved = np.zeros(10, dtype=bool)
            for _ in range(20):
                other = 2 * rng.normal(size=4)
                changed = [q.copy(), k.copy()]
                changed[2 - which][j] = other
                apart = np.abs(outputs_of(choice, *changed, v) - before)
                moved |= apart.max(axis=1) > 1e-6
            table[:j, j] += which * moved[:j]
    return table


SUSPECTS = {
    number: lambda choice=choice: moved_by(choice) for number, choice in CHOICES.items()
}


def long_texts():
    """Queries (200, 96), keys (200, 256, 96) of length 1, and facts (200,).

    Each query is the key of its fact.
    """
    rng = np.random.default_rng(86)
    keys = rng.normal(size=(200, 256, 96))
    keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
    facts = rng.integers(0, 224, size=200)  # not among the last 32
    return keys[np.arange(200), facts], keys, facts


def keep_needed(query, keys, fact, b):
    """The smallest number of blocks, the own one included, that reads the block of the fact.

    >>> int(keep_needed(np.ones(1), np.ones((4, 1)), 3, 2))
    1
    """
    means = keys.reshape(-1, b, keys.shape[1]).mean(axis=1)[:-1]  # the own one apart
    block = fact // b
    if block == len(means):
        return 1
    affinity = means @ query
    before = (affinity > affinity[block]) | (
        (affinity == affinity[block]) & (np.arange(len(means)) < block)
    )
    return 2 + before.sum()


cheapest = (8, 3)


def rank_of(scores, block):
    """How many blocks come before this one, best first and equal ones from the left."""
    return list(np.argsort(-scores, kind="stable")).index(block)


def by_mean(query, keys, b):
    return (keys @ query).reshape(-1, b).mean(axis=1)


def own_is(keys, fact, b):
    return fact // b == len(keys) // b - 1


mistakes_8_6 = [
    mistake("keep_needed", "own block competes", "The own block competes with the others here, by its mean. It is read in any case, and takes one place before the choice begins.", bug="own_unfinished_block_scored")(lambda query, keys, fact, b: rank_of(by_mean(query, keys, b), fact // b) + 1),
    mistake("keep_needed", "own block's place forgotten", "The own block takes one of the `keep` places, too.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else rank_of(by_mean(query, keys, b)[:-1], fact // b) + 1),
    mistake("keep_needed", "own block not thought of", "What if the fact lies in the own block? That is always read.")(lambda query, keys, fact, b: rank_of(np.append(by_mean(query, keys, b)[:-1], -np.inf), fact // b) + 2),
    mistake("keep_needed", "counted from 0", "You count blocks from 0: asked is how many there are, the block of the fact among them.")(lambda query, keys, fact, b: 0 if own_is(keys, fact, b) else rank_of(by_mean(query, keys, b)[:-1], fact // b) + 1),
    mistake("keep_needed", "equal ones all before", "Of blocks with equal products you let all come before. Those further left do.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else 1 + (by_mean(query, keys, b)[:-1] >= by_mean(query, keys, b)[fact // b]).sum()),
    mistake("keep_needed", "equal ones all after", "Of blocks with equal products you let none come before. Those further left do.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else 2 + (by_mean(query, keys, b)[:-1] > by_mean(query, keys, b)[fact // b]).sum()),
    mistake("keep_needed", "equal ones from the right", "Of blocks with equal products you let those further right come before. A sort that is turned around does that: sort the products with a minus sign instead.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else rank_of(by_mean(query, keys, b)[-2::-1], len(keys) // b - 2 - fact // b) + 2),
    mistake("keep_needed", "scored by the best key", "You score a block by its best key. For that one must read all keys; the choice knows their mean alone.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else rank_of((keys @ query).reshape(-1, b).max(axis=1)[:-1], fact // b) + 2),
    mistake("keep_needed", "scored by the first key", "You score a block by its first key.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else rank_of((keys @ query)[::b][:-1], fact // b) + 2),
    mistake("keep_needed", "smallest first", "You begin with the smallest product.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else rank_of(-by_mean(query, keys, b)[:-1], fact // b) + 2),
    mistake("keep_needed", "blocks back to the fact", "You counted the blocks from the last one back to the fact, as a window would. Here the best ones are read first.")(lambda query, keys, fact, b: len(keys) // b - fact // b),
    mistake("keep_needed", "rank of the key", "You ranked single keys. Blocks are ranked, by their means.")(lambda query, keys, fact, b: 1 if own_is(keys, fact, b) else rank_of((keys @ query)[: len(keys) - b], fact) // b + 2),
]
