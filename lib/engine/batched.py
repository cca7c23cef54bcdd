"""The loops of `lib.engine.tiled` as batched matrix products, on any device.

Every piece gets its scores, its softmax and its mean of values. Where several pieces serve one query, the online
softmax merges them (Milakov & Gimelshein 2018; Chapter 9). The backward pass computes the weights anew, from the
scores and what is stored of each row, as FlashAttention does (Dao et al. 2022).
"""

import math
from collections.abc import Iterator

import torch

from lib.engine.pieces import Bias, Layer, Piece


def forward(layer: Layer, q, k, v, state, scale: float, *, first: bool) -> None:
    """Take the keys of a layer into `state`, which is: of each row the mean of the values, the largest score, and
    Σ_j 2^(score_ij − largest), so that layers can be merged.

    q (heads, n_q, d), k (key heads, n_k, d), v (key heads, n_k, d_v), the state (heads, n_q, d_v), (heads, n_q, 1)
    and (heads, n_q, 1); all contiguous. `first`: nothing was taken in before, and the rows of the layer may hold
    anything.
    """
    for piece, bias, head, key_head in _work(layer, q, k):
        scores = _scores(piece, bias, q[head], k[key_head], scale)
        found = _softmax_mean(piece, scores, v[key_head])
        if not first:
            found = _merge([piece.queries(x[head]) for x in state], found)
        for x, values in zip(state, found, strict=True):
            piece.store(x[head], values)


def backward(
    layer: Layer,
    q,
    k,
    v,
    state,
    gradient,
    to_q,
    to_k,
    to_v,
    scale: float,
    *,
    first: bool,
):
    """Add the layer's share to the gradients of q, k and v, for that of the mean; `first` is for `to_q`."""
    output, largest, total = state
    for piece, bias, head, key_head in _work(layer, q, k):
        scores = _scores(piece, bias, q[head], k[key_head], scale)
        weights = scores.sub_(piece.queries(largest[head]).mT).exp2_()
        # The weights are still to be divided by their total; what they multiply is divided instead.
        g = piece.queries(gradient[head]) / _or_one(piece.queries(total[head]))
        piece.add_mix(to_v[key_head], weights, g)
        # ∂L/∂s_ij = α_ij (g_i · v_j − g_i · a_i)
        slopes = piece.products(g, v[key_head])
        slopes.sub_((g * piece.queries(output[head])).sum(-1)[:, None])
        slopes.mul_(weights).mul_(scale)
        step = piece.mix(slopes, k[key_head])
        if not first:
            step += piece.queries(to_q[head])
        piece.store(to_q[head], step)
        piece.add_mix(to_k[key_head], slopes, piece.queries(q[head]))


def _work(layer: Layer, q, k) -> Iterator[tuple[Piece, Bias, int, int]]:
    """Each piece with its bias, and each head with that of its keys."""
    group = len(q) // max(len(k), 1)
    for piece in layer:
        bias = piece.bias(q)
        for head in range(len(q)):
            yield piece, bias, head, head // group


def _scores(piece: Piece, bias: Bias, q: torch.Tensor, k: torch.Tensor, scale: float):
    """Scores (R, c, m) as powers of two: e^s = 2^(s · log₂ e), and exp2 keeps its pace where exp underflows."""
    queries = piece.queries(q) * (scale / math.log(2))
    scores = piece.products(queries, k)
    for keys, forbidden in bias:
        scores[:, keys] += forbidden
    return scores


def _softmax_mean(piece: Piece, scores: torch.Tensor, v: torch.Tensor):
    """Of the scores (R, c, m): the mean of the values (R, m, d_v), the largest, the sum (R, m, 1).

    Overwrites the scores.
    """
    lowest = torch.finfo(scores.dtype).min  # for a row without a key
    largest = scores.amax(1, keepdim=True).clamp_min_(lowest)
    weights = scores.sub_(largest).exp2_()
    total = weights.sum(1, keepdim=True).mT
    return piece.mix(weights, v) / _or_one(total), largest.mT, total


def _merge(one, other):
    """The mean, the largest score and the sum over the keys of both (the online softmax)."""
    (mean, largest, total), (other_mean, other_largest, other_total) = one, other
    joint = torch.maximum(largest, other_largest)
    total = total * (largest - joint).exp2()
    other_total = other_total * (other_largest - joint).exp2()
    sum_ = total + other_total
    mean = (mean * total + other_mean * other_total) / _or_one(sum_)
    return mean, joint, sum_


def _or_one(total: torch.Tensor) -> torch.Tensor:
    return total.masked_fill(total == 0, 1)
