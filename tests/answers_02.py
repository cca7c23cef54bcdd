"""Right answers to exercise 02, in several styles."""

import numpy as np
import torch
from exercise_trial import Trial

from lib.masks import causal
from lib.numpy_attention import attention_weights, softmax


def mask_by_loops(n):
    return [[j <= i for j in range(n)] for i in range(n)]


def mask_by_tril(n):
    return np.tril(np.ones((n, n), dtype=bool))


def mask_in_torch(n):
    return torch.ones(n, n, dtype=torch.bool).tril()


def mask_by_comparison(n):
    positions = np.arange(n)
    return np.greater_equal.outer(positions, positions)


def count_by_loop(n):
    pairs = 0
    for i in range(n):
        pairs += i + 1
    return pairs


def count_off_the_diagonal(n):
    return (n * n - n) / 2 + n


def count_in_the_mask(n):
    return np.tri(n, dtype=bool).sum()


def weights_by_loops(scores):
    weights = np.zeros(scores.shape)
    for i, row in enumerate(scores):
        exponentials = np.exp(row[: i + 1] - row[: i + 1].max())
        weights[i, : i + 1] = exponentials / exponentials.sum()
    return weights


def weights_by_adding(scores):
    masked = scores + np.log(np.tri(len(scores)))
    exponentials = np.exp(masked - masked.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def weights_in_torch(scores):
    blocked = torch.triu(torch.ones(scores.shape, dtype=torch.bool), 1)
    return torch.tensor(scores).masked_fill(blocked, -torch.inf).softmax(dim=-1)


def weights_by_lib(scores):
    return attention_weights(scores, np.eye(len(scores)), causal, scale=1.0)


def leak_by_loops(scores):
    leaks = []
    for i, row in enumerate(scores):
        future = len(row) - 1 - i
        leaks.append(future / (sum(np.exp(s) for s in row[: i + 1]) + future))
    return leaks


def leak_measured(scores):
    return np.triu(softmax(np.tril(scores)), 1).sum(axis=1)


def leak_as_the_rest(scores):
    allowed = causal.dense(len(scores))
    return 1 - np.where(allowed, softmax(scores * allowed), 0).sum(axis=1)


def leak_in_torch(scores):
    weights = torch.tensor(scores).tril().softmax(dim=-1)
    return weights.triu(1).sum(dim=-1)


def chunk_by_loops(n_q, n_k):
    return [[j <= n_k - n_q + row for j in range(n_k)] for row in range(n_q)]


def chunk_by_tri(n_q, n_k):
    return np.tri(n_q, n_k, n_k - n_q, dtype=bool)


def chunk_cut_out(n_q, n_k):
    return np.tril(np.ones((n_k, n_k), dtype=bool))[-n_q:]


def chunk_in_torch(n_q, n_k):
    return torch.ones(n_q, n_k, dtype=torch.bool).tril(diagonal=n_k - n_q)


def turned_by_loops(mask):
    return [[not entry for entry in row] for row in mask]


def turned_by_comparison(mask):
    return mask == 0


def turned_in_torch(mask):
    return torch.from_numpy(mask).logical_not()


def additive_by_logarithm(blocked):
    return np.log(~blocked).astype(np.float32)


def additive_by_filling(blocked):
    mask = np.zeros(blocked.shape, dtype=np.float32)
    mask[blocked] = -np.inf
    return mask


def additive_in_torch(blocked):
    return torch.zeros(blocked.shape).masked_fill(torch.from_numpy(blocked), -torch.inf)


def attention_by_loops(q, k, v, training):
    outputs = []
    for row, query in enumerate(q):
        seen = len(k) - len(q) + row + 1
        scores = k[:seen] @ query / len(query) ** 0.5
        exponentials = np.exp(scores - scores.max())
        outputs.append(exponentials / exponentials.sum() @ v[:seen])
    return outputs


def attention_by_exponentials(q, k, v, training):
    exponentials = np.exp(q @ k.T / np.sqrt(q.shape[1]))
    exponentials = np.tril(exponentials, len(k) - len(q))
    return exponentials / exponentials.sum(axis=1, keepdims=True) @ v


def attention_in_torch(q, k, v, training):
    q, k, v = map(torch.from_numpy, (q, k, v))
    allowed = torch.ones(len(q), len(k), dtype=torch.bool).tril(len(k) - len(q))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


TURNED = [np.logical_not, turned_by_loops, turned_by_comparison, turned_in_torch]
RIGHT = {
    "2.1": {
        "causal_mask": [mask_by_loops, mask_by_tril, mask_in_torch, mask_by_comparison],
        "count_pairs": [count_by_loop, count_off_the_diagonal, count_in_the_mask],
    },
    "2.2": {
        "masked_weights": [
            weights_by_loops,
            weights_by_adding,
            weights_in_torch,
            weights_by_lib,
        ]
    },
    "2.3": {"leak": [leak_by_loops, leak_measured, leak_as_the_rest, leak_in_torch]},
    "2.4": {
        "chunk_mask": [chunk_by_loops, chunk_by_tri, chunk_cut_out, chunk_in_torch]
    },
    "2.5": {
        "to_sdpa": TURNED,
        "to_mha": TURNED,
        "to_additive": [additive_by_logarithm, additive_by_filling, additive_in_torch],
    },
    "2.6": {
        "fixed_attention": [
            attention_by_loops,
            attention_by_exponentials,
            attention_in_torch,
        ]
    },
}

TRIAL = Trial("02_the_masking_lemma", RIGHT)
