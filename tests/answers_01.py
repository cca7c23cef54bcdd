"""Right answers to exercise 01, in several styles."""

import numpy as np
from exercise_trial import Trial

from lib.masks import causal
from lib.numpy_attention import attention


def loop_sum(weights, values):
    total = [0.0] * values.shape[1]
    for weight, value in zip(weights, values, strict=True):
        for c, number in enumerate(value):
            total[c] += weight * number
    return total


def loop_shares(weights, values):
    output = loop_sum(weights, values)
    return [
        [
            w * x / a if a != 0 else float("nan")
            for x, a in zip(value, output, strict=True)
        ]
        for w, value in zip(weights, values, strict=True)
    ]


def shares_with_where(weights, values):
    parts = (weights * values.T).T
    whole = weights @ values
    return np.where(whole == 0, np.nan, parts / np.where(whole == 0, 1, whole))


def shares_with_nan_for_zero(weights, values):
    whole = weights @ values
    whole[whole == 0] = np.nan
    return np.einsum("j,jc->jc", weights, values) / whole


def loop_query_weights(i, q, k):
    scores = [
        sum(a * b for a, b in zip(q[i], k[j], strict=True)) / len(q[i]) ** 0.5
        for j in range(i + 1)
    ]
    exponentials = [np.exp(score - max(scores)) for score in scores]
    return [e / sum(exponentials) for e in exponentials] + [0.0] * (len(k) - i - 1)


def query_weights_with_infinity(i, q, k):
    scores = np.where(np.arange(len(k)) <= i, q[i] @ k.T * q.shape[1] ** -0.5, -np.inf)
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def query_weights_by_logarithms(i, q, k):
    scores = (q @ k.T / np.sqrt(q.shape[-1]))[i]
    scores[i + 1 :] = -np.inf
    return np.exp(scores - np.logaddexp.reduce(scores))


def loop_prefix_means(values):
    return [values[: i + 1].mean(axis=0) for i in range(len(values))]


def prefix_means_by_matrix(values):
    lower = np.tri(len(values))
    return (lower / lower.sum(axis=1, keepdims=True)) @ values


def prefix_means_by_attention(values):
    nothing = np.zeros((len(values), 1))
    return attention(nothing, nothing, values.astype(float), causal)


def loop_attention(q, k, v):
    return np.array([query_weights_with_infinity(i, q, k) @ v for i in range(len(q))])


def suspect_with_two_lines_swapped(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = np.tril(weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ v


def suspect_normalised_again(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.tril(np.exp(scores - scores.max()))
    return np.einsum("ij,jc->ic", weights / weights.sum(axis=1)[:, None], v)


RIGHT = {
    "1.1": {
        "weighted_sum": [
            loop_sum,
            lambda weights, values: (weights[:, None] * values).sum(axis=0),
            lambda weights, values: np.einsum("j,jc->c", weights, values),
            lambda weights, values: np.average(values, axis=0, weights=weights),
        ]
    },
    "1.2": {"shares": [loop_shares, shares_with_where, shares_with_nan_for_zero]},
    "1.3": {
        "query_weights": [
            loop_query_weights,
            query_weights_with_infinity,
            query_weights_by_logarithms,
        ]
    },
    "1.4": {
        "prefix_means": [
            loop_prefix_means,
            prefix_means_by_matrix,
            prefix_means_by_attention,
        ]
    },
    "1.5": {
        "fixed_attention": [
            loop_attention,
            suspect_with_two_lines_swapped,
            suspect_normalised_again,
        ]
    },
    "1.6": {
        "scores_for": [
            lambda weights: np.log(weights) + 7,
            lambda weights: np.log(weights / weights[0]),
            lambda weights: [
                float(np.log(w)) if w > 0 else -float("inf") for w in weights
            ],
        ]
    },
}

TRIAL = Trial("01_weighted_values", RIGHT)
