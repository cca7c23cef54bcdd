"""Exact attention that skips what the mask forbids, in PyTorch, with gradients.

`lib.pieces` cuts the work; here every piece gets its scores, its softmax and its mean of values. Where several
pieces serve one query, the online softmax merges them (Milakov & Gimelshein 2018; Chapter 9). The weights of
all pairs never exist together: the backward pass computes those of a piece anew, from its scores and what is
stored of each row, as FlashAttention does (Dao et al. 2022).

The readable form of the same idea is `lib.numpy_attention.tiled_attention`.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from lib.masks import Mask
from lib.pieces import Bias, Piece, Plan, plan


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, scale: float
) -> torch.Tensor:
    """`lib.layout.Attend`, on any device, with gradients. Half precision is computed in float32.

    `lib.torch_attention.attention` checks the arguments and calls this. Keys that a query may not read count
    for nothing as long as they are finite: 0 · NaN is NaN, so a NaN reaches the queries of its tile, not of others.
    """
    dtype = torch.promote_types(q.dtype, torch.float32)
    n_q, n_k = q.shape[-2], k.shape[-2]
    outputs = []
    for row, qkv in enumerate(zip(q, k, v, strict=True)):
        batch_row = None if mask.batch is None else row
        cut = plan(mask, n_q, n_k, batch_row, q.device)
        padded = (_padded(x.to(dtype).contiguous(), cut.tile) for x in qkv)
        with _no_autocast(q):
            outputs.append(OverPieces.apply(*padded, cut, scale)[:, :n_q])
    # One output needs no copy.
    output = torch.stack(outputs) if len(outputs) > 1 else outputs[0][None]
    return output.to(q.dtype)


def _no_autocast(x: torch.Tensor) -> AbstractContextManager:
    """Autocast would do single products in half precision, among sums in full."""
    device = x.device.type
    if not torch.amp.is_autocast_available(device):  # as on "meta"
        return nullcontext()
    return torch.autocast(device, enabled=False)


def _padded(x: torch.Tensor, tile: int) -> torch.Tensor:
    missing = -x.shape[-2] % tile
    return F.pad(x, (0, 0, 0, missing)) if missing else x


class OverPieces(torch.autograd.Function):
    """Attention, piece by piece. Second derivatives are not offered."""

    @staticmethod
    def forward(ctx, q, k, v, cut: Plan, scale: float):
        # Of each row so far: the mean of the values, the largest score, and Σ_j 2^(score_ij − largest).
        # The logarithm of the sum alone would be lost beside a score of 4e9.
        state = (
            _rows_like(q, v.shape[-1], 0, cut),
            _rows_like(q, 1, torch.finfo(q.dtype).min, cut),
            _rows_like(q, 1, 0, cut),
        )
        for piece, bias, first, head, key_head in _work(cut, q, k):
            scores = _scores(piece, bias, q[head], k[key_head], scale)
            found = _softmax_mean(piece, scores, v[key_head])
            if not first:
                found = _merge([piece.queries(x[head]) for x in state], found)
            for x, values in zip(state, found, strict=True):
                piece.store(x[head], values)
        ctx.save_for_backward(q, k, v, *state)
        ctx.cut, ctx.scale = cut, scale
        return state[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        q, k, v, output, largest, total = ctx.saved_tensors
        to_q = _rows_like(q, q.shape[-1], 0, ctx.cut)
        to_k, to_v = torch.zeros_like(k), torch.zeros_like(v)
        with _no_autocast(q):
            for piece, bias, first, head, key_head in _work(ctx.cut, q, k):
                scores = _scores(piece, bias, q[head], k[key_head], ctx.scale)
                weights = scores.sub_(piece.queries(largest[head]).mT).exp2_()
                # The weights are still to be divided by their total; what they multiply is divided instead.
                g = piece.queries(gradient[head]) / _or_one(piece.queries(total[head]))
                piece.add_mix(to_v[key_head], weights, g)
                # ∂L/∂s_ij = α_ij (g_i · v_j − g_i · a_i)
                slopes = piece.products(g, v[key_head])
                slopes.sub_((g * piece.queries(output[head])).sum(-1)[:, None])
                slopes.mul_(weights).mul_(ctx.scale)
                step = piece.mix(slopes, k[key_head])
                if not first:
                    step += piece.queries(to_q[head])
                piece.store(to_q[head], step)
                piece.add_mix(to_k[key_head], slopes, piece.queries(q[head]))
        return to_q, to_k, to_v, None, None


def _rows_like(q: torch.Tensor, features: int, value: float, cut: Plan) -> torch.Tensor:
    """(heads, n_q, features): of `value`, or of anything if the first layer writes every row anyway."""
    shape = (*q.shape[:-1], features)
    return q.new_empty(shape) if cut.complete else q.new_full(shape, value)


def _work(cut: Plan, q, k) -> Iterator[tuple[Piece, Bias, bool, int, int]]:
    """Each piece with its bias, whether it is the first for its queries, and each head with that of its keys."""
    group = len(q) // max(len(k), 1)
    for number, layer in enumerate(cut.layers):
        for piece in layer:
            bias = piece.bias(q)
            for head in range(len(q)):
                yield piece, bias, number == 0, head, head // group


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
