"""Exact attention that skips what the mask forbids, in PyTorch, with gradients.

`lib.engine.cutting` cuts the work into layers of pieces. Two modules have the loops over them: `lib.engine.compiled`,
on the CPU where there is a C++ compiler, and `lib.engine.batched`, everywhere. The weights of all pairs never exist
together: the backward pass computes those of a piece anew, from its scores and what is stored of each row, as
FlashAttention does (Dao et al. 2022). First derivatives, `torch.vmap` and `torch.func.grad` skip alike; second
derivatives and forward mode are right, and cost what all pairs cost.

The readable form of the same idea is `lib.numpy_attention.tiled_attention`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import ModuleType

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lib.engine import batched, compiled, fused
from lib.engine.cutting import plan
from lib.engine.pieces import Layer, Plan
from lib.masks import Mask


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, scale: float
) -> torch.Tensor:
    """The output (rows, heads, n_q, d_v) for `lib.engine.heads.Rows`, on any device, with gradients.

    Half precision is computed in float32.

    `lib.torch_attention.attention` checks the arguments and calls this. Keys that a query may not read count
    for nothing as long as they are finite: 0 · NaN is NaN, so a NaN reaches the outputs of its tile, not of others.
    """
    dtype = torch.promote_types(q.dtype, torch.float32)
    n_q, n_k = q.shape[-2], k.shape[-2]
    outputs = []
    for row, qkv in enumerate(zip(q, k, v, strict=True)):
        batch_row = None if mask.batch is None else row
        cut = plan(mask, n_q, n_k, batch_row, q.device)
        pairs = partial(_pairs, mask, n_q, n_k, batch_row)
        padded = (_padded(x.to(dtype).contiguous(), cut.tile) for x in qkv)
        with _no_autocast(q):
            output, *_ = OverPieces.apply(*padded, cut, scale, pairs)
            outputs.append(output[:, :n_q])
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


def _pairs(mask: Mask, n_q: int, n_k: int, batch_row: int | None) -> torch.Tensor:
    """The allowed pairs, (n_q, n_k)."""
    allowed = torch.from_numpy(mask.dense(n_q, n_k))
    return allowed if batch_row is None else allowed[batch_row]


class OverPieces(torch.autograd.Function):
    """Attention, piece by piece: the outputs, and of each row its largest score and its sum.

    q (heads, n_q, d), k (key heads, n_k, d), v (key heads, n_k, d_v). `pairs()` are the allowed pairs as an array; only
    what goes beyond a plain gradient asks for them, and then it costs what all pairs cost.
    """

    @staticmethod
    def forward(q, k, v, cut: Plan, scale: float, pairs: Callable[[], torch.Tensor]):
        # Of each row so far: the mean of the values, the largest score, and Σ_j 2^(score_ij − largest).
        # The logarithm of the sum alone would be lost beside a score of 4e9.
        state = (
            _rows_like(q, v.shape[-1], 0, cut),
            _rows_like(q, 1, torch.finfo(q.dtype).min, cut),
            _rows_like(q, 1, 0, cut),
        )
        for number, layer in enumerate(cut.layers):
            loops = _loops(layer, q, v)
            loops.forward(layer, q, k, v, state, scale, first=number == 0)
        return state

    @staticmethod
    def setup_context(ctx, inputs, output):
        *qkv, ctx.cut, ctx.scale, ctx.pairs = inputs
        ctx.save_for_backward(*qkv, *output)
        ctx.save_for_forward(*qkv)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx, gradient, *_):
        same = ctx.cut, ctx.scale, ctx.pairs
        return *Gradients.apply(*ctx.saved_tensors, gradient, *same), None, None, None

    @staticmethod
    def jvp(ctx, *tangents):
        qkv = ctx.saved_tensors[:3]
        function = partial(_over_all_pairs, ctx.pairs, ctx.scale)
        output, to_inputs = torch.func.vjp(function, *qkv)
        # The gradients depend on that of the output as the output's change does on the inputs' change, transposed.
        _, transposed = torch.func.vjp(to_inputs, torch.zeros_like(output))
        return *transposed(tangents[:3]), None, None

    @staticmethod
    def vmap(info, in_dims, *inputs):
        return _beside_the_heads(OverPieces, info, in_dims, inputs)


class Gradients(torch.autograd.Function):
    """The gradients of q, k and v, piece by piece, for that of the output."""

    @staticmethod
    def forward(q, k, v, output, largest, total, gradient, cut, scale, pairs):
        to_q = _rows_like(q, q.shape[-1], 0, cut)
        to_k, to_v = torch.zeros_like(k), torch.zeros_like(v)
        state = output, largest, total
        tensors = q, k, v, state, gradient.contiguous(), to_q, to_k, to_v
        with _no_autocast(q):
            for number, layer in enumerate(cut.layers):
                loops = _loops(layer, q, v)
                loops.backward(layer, *tensors, scale, first=number == 0)
        return to_q, to_k, to_v

    @staticmethod
    def setup_context(ctx, inputs, output):
        q, k, v, _, _, _, gradient, _, ctx.scale, ctx.pairs = inputs
        ctx.save_for_backward(q, k, v, gradient)

    @staticmethod
    def backward(ctx, *gradients):
        """Second derivatives: those of what `_over_all_pairs` has for first ones."""

        def first(q, k, v, gradient):
            function = partial(_over_all_pairs, ctx.pairs, ctx.scale)
            return torch.func.vjp(function, q, k, v)[1](gradient)

        to_q, to_k, to_v, to_gradient = torch.func.vjp(first, *ctx.saved_tensors)[1](
            gradients
        )
        return to_q, to_k, to_v, None, None, None, to_gradient, None, None, None

    @staticmethod
    def vmap(info, in_dims, *inputs):
        return _beside_the_heads(Gradients, info, in_dims, inputs)


def _beside_the_heads(function, info, in_dims, inputs):
    """`function` under `torch.vmap`: what is mapped over joins the heads, which share the mask."""
    *tensors, cut, scale, pairs = inputs
    heads = [
        x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(tensors, in_dims, strict=False)
    ]
    flat = (x.flatten(0, 1).contiguous() for x in heads)
    results = function.apply(*flat, cut, scale, pairs)
    return tuple(x.unflatten(0, (info.batch_size, -1)) for x in results), (0, 0, 0)


def _over_all_pairs(pairs, scale, q, k, v):
    """What `OverPieces` computes, from all pairs at once, whatever the mask forbids: it can be differentiated again."""
    allowed = pairs().to(q.device)
    n_q, n_k = allowed.shape
    k, v = (x[:, :n_k].repeat_interleave(len(q) // len(k), dim=0) for x in (k, v))
    with (
        _no_autocast(q),
        sdpa_kernel(SDPBackend.MATH),
    ):  # the others have first derivatives alone
        output = fused.attend(q[:, :n_q], k, v, allowed, scale)
    return F.pad(output, (0, 0, 0, q.shape[1] - n_q))


def _loops(layer: Layer, q: torch.Tensor, v: torch.Tensor) -> ModuleType:
    """The compiled loops where they can compute the layer, else the batched products."""
    return compiled if compiled.takes(layer, q, v) else batched


def _rows_like(q: torch.Tensor, features: int, value: float, cut: Plan) -> torch.Tensor:
    """(heads, n_q, features): of `value`, or of anything if the first layer writes every row anyway."""
    shape = (*q.shape[:-1], features)
    return q.new_empty(shape) if cut.complete else q.new_full(shape, value)
