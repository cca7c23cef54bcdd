"""Points, reference answers and known mistakes of exercise 01.

Generated from solutions/01_weighted_values.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.examples import S
from lib.grading.known import answered_by_attention, mistake
from lib.grading.personal import own_numbers
from lib.masks import causal, window
from lib.numpy_attention import attention, softmax

CHAPTER = "01_weighted_values"
TITLE = "Weighted values"
TITLES = {
    "1.1": "From memory: the output of one query",
    "1.2": "A query that does not ask",
    "1.3": "From scores to weights",
    "1.4": "From weights back to scores",
    "1.5": "Find the bug",
    "1.6": "Break it with an input: the heavy key that does not count",
    "1.7": "Diagnosis",
}
POINTS = {
    "1.1": 2,
    "1.2": 2,
    "1.3": 3,
    "1.4": 3,
    "1.5": 3,
    "1.6": 2,
    "1.7": 3,
}


student_id = ""


def weighted_sum(weights, values):
    """The output of one query, from its weights and the values.

    >>> values = np.array([[0.2, 0.4, 0.6], [0.1, 0.3, 0.5]])
    >>> weighted_sum(np.array([0.3, 0.7]), values).round(2)
    array([0.13, 0.33, 0.53])
    """
    # (n,) @ (n, d_v): the product runs over the n keys and leaves the d_v coordinates.
    return weights @ values


mistakes_1_1 = [
    mistake("weighted_sum", "plain average", "This is the plain average: every value got the same weight. Each value must be multiplied by its own weight.")(lambda weights, values: values.mean(axis=0)),
    mistake("weighted_sum", "weights ignored", "This adds up the values without their weights. Multiply each value by its weight first.")(lambda weights, values: values.sum(axis=0)),
    mistake("weighted_sum", "not added up", "Each value has its weight, but the parts are not added up yet. Sum over the keys, which are axis 0.")(lambda weights, values: weights[:, None] * values),
    mistake("weighted_sum", "summed over coordinates", "This sums over the coordinates of each value. The sum runs over the keys, axis 0, and keeps the coordinates.")(lambda weights, values: (weights[:, None] * values).sum(axis=1)),
    mistake("weighted_sum", "only the heaviest value", "This takes the value with the largest weight and drops the others. Attention mixes; it does not select.")(lambda weights, values: values[np.argmax(weights)]),
    mistake("weighted_sum", "averaged twice", "This divides by the number of keys once more. The weights sum to 1 already, so the sum is the average.")(lambda weights, values: (weights[:, None] * values).mean(axis=0)),
    mistake("weighted_sum", "weights in the wrong order", "Each weight met the value of another key: the order is reversed. Weight j belongs to value j.")(lambda weights, values: weights[::-1] @ values),
    mistake("weighted_sum", "only the last part", "This is the part of the last key alone. In a loop, add each part to the sum so far: `total = total + part`.")(lambda weights, values: weights[-1] * values[-1]),
    mistake("weighted_sum", "softmax taken again", "You took the softmax of the weights. They are weights already: softmax made them of scores. Use them as they are.")(lambda weights, values: softmax(weights) @ values),
    mistake("weighted_sum", "kept as whole numbers", "The values are whole numbers, and your sum is kept as one: `np.zeros_like(values[0])` copies their type. Begin with `np.zeros(values.shape[1])`.")(lambda weights, values: (weights @ values).astype(values.dtype)),
]


def window_means(values, w):
    """Row i is the mean of the last w values up to value i.

    >>> window_means(np.array([[2.0], [4.0], [9.0], [5.0]]), 2)
    array([[2. ],
           [3. ],
           [6.5],
           [7. ]])
    """
    rows = range(len(values))
    return np.stack([values[max(0, i - w + 1) : i + 1].mean(axis=0) for i in rows])


mistakes_1_2 = [
    answered_by_attention("window_means", like="sliding_attention")(lambda attend: lambda values, w: attend(*np.zeros((2, len(values), 1)), values * 1.0)),
    mistake("window_means", "window forgotten", "These are the means of everything up to row i: the window is missing. Section 7 of the chapter has it.")(lambda values, w: np.cumsum(values, axis=0) / np.arange(1, len(values) + 1)[:, None]),
    mistake("window_means", "mean of everything", "Every row is the mean of all values, later ones too.", bug="mask_thrown_away")(lambda values, w: np.broadcast_to(values.mean(axis=0), values.shape)),
    mistake("window_means", "negative start", "In the first rows the start is negative, so the slice is empty: begin at max(0, i − w + 1).")(lambda values, w: np.stack([(rows := values[i - w + 1 : i + 1]).sum(axis=0) / len(rows) for i in range(len(values))])),
    mistake("window_means", "one row too many", "Your window has w + 1 rows: row i and w before it. It should have w, row i among them.", bug="window_one_too_wide")(lambda values, w: window_means(values, w + 1)),
    mistake("window_means", "own row left out", "Row i is left out of its own window. A query reads its own position too.", bug="own_position_left_out")(lambda values, w: np.stack([values[max(0, i - w) : max(i, 1)].mean(axis=0) for i in range(len(values))])),
    mistake("window_means", "divided by w at the start too", "The first rows have fewer than w values, but you divide them by w. Divide by the number of values that there are.")(lambda values, w: window_means(values, w) * np.minimum(np.arange(len(values)) + 1, w)[:, None] / w),
    mistake("window_means", "sums, not means", "These are sums. Divide each by the number of its values.")(lambda values, w: window_means(values, w) * np.minimum(np.arange(len(values)) + 1, w)[:, None]),
    mistake("window_means", "the window lies ahead", "Row i averages itself and the rows after it. Turn it around: the rows before it.", bug="transposed_mask")(lambda values, w: window_means(values[::-1], w)[::-1]),
    mistake("window_means", "the window on both sides", "Your window reaches w − 1 rows ahead as well. A query may not read later rows.", bug="two_sided_window")(lambda values, w: np.stack([values[max(0, i - w + 1) : i + w].mean(axis=0) for i in range(len(values))])),
]


def query_weights(i, q, k):
    """The attention weights of query i: a softmax over keys 0 … i, and 0 after them.

    With d_k = 4 these queries and keys make q @ k.T / sqrt(d_k) equal to S:

    >>> q, k = 2 * S @ np.eye(3, 4), np.eye(3, 4)
    >>> query_weights(1, q, k).round(4)
    array([0.4013, 0.5987, 0.    ])
    """
    scores = k[: i + 1] @ q[i] / np.sqrt(q.shape[1])  # (i + 1,): the allowed keys only
    exponentials = np.exp(
        scores - scores.max()
    )  # the largest score becomes 0, so exp cannot overflow
    weights = np.zeros(len(k))
    weights[: i + 1] = exponentials / exponentials.sum()
    return weights


def scores_of(i, q, k):
    return k @ q[i] / np.sqrt(q.shape[1])


def softmax_of(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


mistakes_1_3 = [
    answered_by_attention("query_weights")(lambda attend: lambda i, q, k: attend(q, k, np.eye(len(k)))[i]),
    mistake("query_weights", "sum over all keys", "The future weights are 0, but the denominator still runs over all keys, so your weights sum to less than 1 and they change when a future key changes. Sum over j ≤ i only.", bug="masked_after_the_softmax")(lambda i, q, k: softmax_of(scores_of(i, q, k)) * (np.arange(len(k)) <= i)),
    mistake("query_weights", "reads the future", "This is a softmax over all keys: keys after position i have weight too. Only keys j ≤ i may be read.", bug="mask_thrown_away")(lambda i, q, k: softmax_of(scores_of(i, q, k))),
    mistake("query_weights", "scores set to zero", "A score of 0 is not silence: e⁰ = 1, so every future key still takes part. Leave those keys out.", bug="zeroed_scores")(lambda i, q, k: softmax_of(np.where(np.arange(len(k)) <= i, scores_of(i, q, k), 0.0))),
    mistake("query_weights", "scores of the future set to zero, then cut", "The future weights are 0 now, but e⁰ = 1 for each of them is still in the denominator. Sum over j ≤ i only.")(lambda i, q, k: softmax_of(np.where(np.arange(len(k)) <= i, scores_of(i, q, k), 0.0)) * (np.arange(len(k)) <= i)),
    mistake("query_weights", "scale forgotten", "These are the weights of the bare dot products. Divide the scores by √d_k before the softmax.")(lambda i, q, k: query_weights(i, q * np.sqrt(q.shape[1]), k)),
    mistake("query_weights", "divided by √n", "You divided the scores by √n, from the number of tokens. The scale is √d_k: d_k is the number of columns of q.")(lambda i, q, k: query_weights(i, q * np.sqrt(q.shape[1] / len(q)), k)),
    mistake("query_weights", "query and key exchanged", "You scored key i against all queries. Row i belongs to query i: compare `q[i]` with every key.")(lambda i, q, k: query_weights(i, k, q)),
    mistake("query_weights", "divided by d_k", "You divided the scores by d_k. The scale is the square root of d_k.")(lambda i, q, k: query_weights(i, q / np.sqrt(q.shape[1]), k)),
    mistake("query_weights", "own position left out", "Your query does not read its own key: you used j < i. It may read j ≤ i, or the first query has nothing to read.", bug="own_position_left_out")(lambda i, q, k: np.nan_to_num(softmax_of(np.where(np.arange(len(k)) < i, scores_of(i, q, k), -np.inf)))),
    mistake("query_weights", "overflow", "For large scores exp overflows to inf, or all terms vanish, and inf/inf or 0/0 is NaN. Subtract the largest score first: the weights stay the same.")(lambda i, q, k: np.append(np.exp(scores_of(i, q, k)[: i + 1]) / np.exp(scores_of(i, q, k)[: i + 1]).sum(), np.zeros(len(k) - i - 1))),
    mistake("query_weights", "largest score of all keys subtracted", "You subtract the largest score of all keys. If a later key has it, every allowed exponential can vanish, and 0/0 is NaN. Take the largest over j ≤ i.", bug="renormalised_after_the_softmax")(lambda i, q, k: (e := np.exp(scores_of(i, q, k) - scores_of(i, q, k).max()) * (np.arange(len(k)) <= i)) / e.sum()),
    mistake("query_weights", "future keys missing", "These are the weights of the keys 0 … i alone. Give one weight for every key, with 0 for the later ones.")(lambda i, q, k: query_weights(i, q, k)[: i + 1]),
    mistake("query_weights", "no exponential", "You divided the scores by their sum. Softmax takes the exponential of each score first: no weight is negative.")(lambda i, q, k: (s := scores_of(i, q, k) * (np.arange(len(k)) <= i)) / s.sum()),
]


def weights_of(student_id):
    """Two weights of your own, in hundredths."""
    [percent] = own_numbers(student_id, "1.4", count=1, low=22, high=39)
    return np.array([percent, 100 - percent]) / 100


my_weights = weights_of(student_id)


def scores_for(weights):
    """Scores whose softmax is `weights`, up to a common shift.

    >>> scores = scores_for(np.array([0.2, 0.8]))
    >>> (scores[1] - scores[0]).round(4)
    np.float64(1.3863)
    """
    with np.errstate(divide="ignore"):  # log(0) = −∞ is what a weight of 0 needs
        return np.log(weights)


# e^(s_1 - s_0) is the ratio of the weights; the logarithm undoes the exponential.
my_difference = np.log(my_weights[1] / my_weights[0])


def own_difference(student_id):
    first, second = weights_of(student_id)
    return np.log(second / first)


mistakes_1_4 = [
    mistake("scores_for", "weights taken for scores", "You returned the weights themselves. Softmax takes exponentials, so undo an exponential: take a logarithm.")(lambda weights: weights),
    mistake("scores_for", "softmax twice", "You took the softmax of the weights. That goes one more step forward; you have to go back.")(lambda weights: np.exp(weights) / np.exp(weights).sum()),
    mistake("scores_for", "exponential for logarithm", "You took the exponential. Softmax does that already; undo it with the logarithm.")(lambda weights: np.exp(weights)),
    mistake("scores_for", "log-odds", "These are log-odds, ln(w / (1 − w)), which undo the sigmoid. For softmax compare a weight with the other weights.")(lambda weights: np.log(weights / (1 - weights))),
    mistake("scores_for", "logarithm of another base", "That logarithm has base 2. Softmax uses e, so take the natural logarithm, `np.log`.")(lambda weights: np.log2(weights)),
    mistake("scores_for", "logarithm to base 10", "That logarithm has base 10. Softmax uses e, so take the natural logarithm, `np.log`.")(lambda weights: np.log10(weights)),
    mistake("scores_for", "sign turned around", "The sign is turned around: a larger weight needs a larger score.")(lambda weights: -np.log(weights)),
    mistake("my_difference", "difference of the weights", "You subtracted the weights. A difference of scores becomes a ratio of weights: s₁ − s₀ is the logarithm of that ratio.")(lambda student_id: np.diff(weights_of(student_id))[0]),
    mistake("my_difference", "logarithm of the difference", "You took the logarithm of the difference of the weights. It is the other way round: the difference of the logarithms, which is the logarithm of the ratio.")(lambda student_id: np.log(np.diff(weights_of(student_id))[0])),
    mistake("my_difference", "ratio of the weights", "That is the ratio of the weights, e to the power of what is asked. Take its logarithm.")(lambda student_id: np.exp(own_difference(student_id))),
    mistake("my_difference", "sign turned around", "That is the score of key 0 minus the score of key 1. Key 1 has the larger weight, so its score is the larger one.")(lambda student_id: -own_difference(student_id)),
    mistake("my_difference", "logarithm of another base", "That logarithm has base 2. Softmax uses e, so take the natural logarithm, `np.log`.")(lambda student_id: own_difference(student_id) / np.log(2)),
    mistake("my_difference", "logarithm to base 10", "That logarithm has base 10. Softmax uses e, so take the natural logarithm, `np.log`.")(lambda student_id: own_difference(student_id) / np.log(10)),
    mistake("my_difference", "a score instead of a difference", "That is a score for key 1 alone. Scores have no meaning alone, since a common shift changes nothing: subtract the score of key 0.")(lambda student_id: np.log(weights_of(student_id)[1])),
]


def suspect_attention(q, k, v):
    """Causal attention, or so its author believes."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    weights = np.tril(weights)  # no query reads a later key
    return weights @ v


def fixed_attention(q, k, v):
    """Causal attention: row i is a softmax over the keys 0 … i, times their values.

    >>> fixed_attention(np.zeros((2, 1)), np.zeros((2, 1)), np.array([[1.0], [3.0]]))
    array([[1.],
           [2.]])
    """
    scores = q @ k.T / np.sqrt(q.shape[1])
    scores = np.where(
        np.tri(len(q), dtype=bool), scores, -np.inf
    )  # cut before the softmax, not after it
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ v


# Query 0 prefers the key of its future by a score of 10, so the suspect throws nearly all of its weight away.
breaking_input = (np.ones((2, 1)), np.array([[0.0], [10.0]]), np.ones((2, 1)))


def all_scores(q, k):
    return q @ k.T / np.sqrt(q.shape[1])


def attention_of(scores, v):
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=1, keepdims=True) @ v


mistakes_1_5 = [
    answered_by_attention("fixed_attention")(lambda attend: lambda q, k, v: attend(q, k, v)),
    mistake("fixed_attention", "bug still there", "This gives the same as the suspect. Look at a row of its weights: what do they add up to, and why?", bug="masked_after_the_softmax")(lambda q, k, v: suspect_attention(q, k, v)),
    mistake("fixed_attention", "mask removed", "Now the weights sum to 1, but every query reads the future: the mask is gone. Mask first, normalise afterwards.", bug="mask_thrown_away")(lambda q, k, v: attention_of(all_scores(q, k), v)),
    mistake("fixed_attention", "scores set to zero", "A score of 0 is not silence: e⁰ = 1, so every future key still takes part. The blocked scores must be −∞.", bug="zeroed_scores")(lambda q, k, v: attention_of(np.tril(all_scores(q, k)), v)),
    mistake("fixed_attention", "score 0 taken for forbidden", "You block every score that is 0, but an allowed score can be 0 as well. Block by position, j > i, not by value.")(lambda q, k, v: attention_of(np.where(np.tril(all_scores(q, k)) == 0, -np.inf, all_scores(q, k)), v)),
    mistake("fixed_attention", "scale forgotten", "The mask is right, but the scores are no longer divided by √d_k.")(lambda q, k, v: fixed_attention(q * np.sqrt(q.shape[1]), k, v)),
    mistake("fixed_attention", "sums of rows laid along the columns", "`sum(axis=1)` is a vector with one sum for each row, and NumPy lays it along the columns. With `keepdims=True` it stays a column, and each row is divided by its own sum.")(lambda q, k, v: (e := np.tril(np.exp(all_scores(q, k)))) / e.sum(axis=1) @ v),
    mistake("fixed_attention", "divided by one sum for all rows", "You divided by the sum of the whole matrix. Each query has its own weights: every row must sum to 1.")(lambda q, k, v: (e := np.tril(np.exp(all_scores(q, k) - all_scores(q, k).max(axis=1, keepdims=True)))) / e.sum() @ v),
    mistake("fixed_attention", "−100 for −∞", "You fill in −100. Here the allowed scores are lower still, so the future is read after all. Only −∞ lies below every score.", bug="large_negative_number")(lambda q, k, v: attention_of(np.where(np.tri(len(q), dtype=bool), all_scores(q, k), -100.0), v)),
]


def without_heaviest(weights, values):
    """The output when the key with the largest weight is left out."""
    others = np.arange(len(weights)) != np.argmax(weights)
    return weights[others] @ values[others] / weights[others].sum()


# The value of the heavy key is the weighted average of the others: 0.6 · 1 + 0.4 · 6 = 3.
heavy_weights = np.array([0.9, 0.06, 0.04])
heavy_values = np.array([[3.0], [1.0], [6.0]])


queries = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 2.0], [1.0, 1.0]])
keys = np.array([[1.0, 1.0], [0.0, 2.0], [2.0, 0.0], [1.0, -1.0]])
values = np.array([2.0, 4.0, 8.0, 16.0])
outputs = {
    "A": np.array([0.442, 1.055, 3.767, 5.516]),
    "B": np.array([2.0, 2.0, 2.091, 3.066]),
    "C": np.array([2.0, 2.538, 3.829, 5.156]),
    "D": np.array([2.0, 3.609, 3.808, 5.683]),
}


diagnosis = (3, 5, 1, 2)


def exponentials_over(scores, axis):
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def weights_by_bug(q, k, scale=1.0, axis=1, mask=None):
    allowed = np.tri(len(q), dtype=bool) if mask is None else mask
    scores = q @ k.T / np.sqrt(2) * scale
    return exponentials_over(np.where(allowed, scores, -np.inf), axis)


SUSPECTS = {
    1: lambda q, k, v: weights_by_bug(q, k, scale=np.sqrt(2)) @ v,
    2: lambda q, k, v: weights_by_bug(k, q) @ v,
    3: lambda q, k, v: suspect_attention(q, k, v),
    4: lambda q, k, v: weights_by_bug(q, k, axis=0) @ v,
    5: lambda q, k, v: weights_by_bug(q, k) @ np.append(v[:1], v[:-1]),
    6: lambda q, k, v: (
        weights_by_bug(
            q, k, mask=np.tri(4, k=-1, dtype=bool) | (np.arange(16) == 0).reshape(4, 4)
        )
        @ v
    ),
}
