"""Exact attention that skips what the mask forbids, in PyTorch, with gradients.

`lib.pieces` cuts the work; here every piece gets its scores, its softmax and its mean of values. Where several
pieces serve one query, the online softmax merges them (Milakov & Gimelshein 2018; Chapter 9). The weights of
all pairs never exist together: the backward pass computes those of a piece anew, from its scores and the
stored logarithm of each row's sum, as FlashAttention does (Dao et al. 2022).

The readable form of the same idea is `lib.numpy_attention.tiled_attention`.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from lib.masks import Mask
from lib.pieces import Bias, Piece, Plan, plan


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, scale: float
) -> torch.Tensor:
    """q (rows, heads, n_q, d), k (rows, key heads, n_k, d), v (rows, key heads, n_k, d_v): (rows, heads, n_q, d_v).

    Rows belong to the rows of the mask's batch. Query head h reads key head ⌊h · key heads / heads⌋. Half
    precision is computed in float32. `lib.torch_attention.attention` checks the arguments and calls this.
    """
    dtype = torch.promote_types(q.dtype, torch.float32)
    n_q, n_k = q.shape[-2], k.shape[-2]
    outputs = []
    for row, qkv in enumerate(zip(q, k, v, strict=True)):
        batch_row = None if mask.batch is None else row
        cut = plan(mask, n_q, n_k, batch_row, q.device)
        padded = (_padded(x.to(dtype).contiguous(), cut.tile) for x in qkv)
        outputs.append(OverPieces.apply(*padded, cut, scale)[:, :n_q])
    # One output needs no copy.
    output = torch.stack(outputs) if len(outputs) > 1 else outputs[0][None]
    return output.to(q.dtype)


def _padded(x: torch.Tensor, tile: int) -> torch.Tensor:
    missing = -x.shape[-2] % tile
    return F.pad(x, (0, 0, 0, missing)) if missing else x


class OverPieces(torch.autograd.Function):
    """Attention, piece by piece. Second derivatives are not offered."""

    @staticmethod
    def forward(ctx, q, k, v, cut: Plan, scale: float):
        output = _rows_like(q, v.shape[-1], 0, cut)
        # log₂ Σ_j 2^score_ij of each row; −∞ where no key has been met.
        sums = _rows_like(q, 1, -math.inf, cut)
        for piece, bias, first, head, key_head in _work(cut, q, k):
            scores = _scores(piece, bias, q[head], k[key_head], scale)
            found = _softmax_mean(piece, scores, v[key_head])
            if not first:
                known = piece.queries(output[head]), piece.queries(sums[head])
                found = _merge(known, found)
            piece.store(output[head], found[0])
            piece.store(sums[head], found[1])
        ctx.save_for_backward(q, k, v, output, sums)
        ctx.cut, ctx.scale = cut, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        q, k, v, output, sums = ctx.saved_tensors
        to_q = _rows_like(q, q.shape[-1], 0, ctx.cut)
        to_k, to_v = torch.zeros_like(k), torch.zeros_like(v)
        sums = sums.masked_fill(sums == -math.inf, 0)  # 2^(−∞ − 0) is 0 too
        for piece, bias, first, head, key_head in _work(ctx.cut, q, k):
            scores = _scores(piece, bias, q[head], k[key_head], ctx.scale)
            weights = scores.sub_(piece.queries(sums[head]).mT).exp2_()
            g = piece.queries(gradient[head])
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
    """Weighted means (R, m, d_v) of the values, and log₂ Σ 2^score (R, m, 1). Overwrites the scores."""
    largest = scores.amax(1, keepdim=True).clamp_min_(torch.finfo(scores.dtype).min)
    weights = scores.sub_(largest).exp2_()
    total = weights.sum(1, keepdim=True)
    mean = piece.mix(weights, v) / total.masked_fill(total == 0, 1).mT
    return mean, (total.log2() + largest).mT


def _merge(one, other):
    """The softmax over the keys of both, from the means and the logarithms of the sums of each."""
    (mean, log_sum), (other_mean, other_log_sum) = one, other
    total = torch.logaddexp2(log_sum, other_log_sum)
    finite = total.clamp_min(torch.finfo(total.dtype).min)
    share, other_share = (log_sum - finite).exp2(), (other_log_sum - finite).exp2()
    return mean * share + other_mean * other_share, total
