"""Exact attention that skips what the mask forbids, in PyTorch, with gradients.

`lib.engine.cutting` cuts the work into layers of pieces. Two modules have the loops over them: `lib.engine.compiled`,
on the CPU where there is a C++ compiler, and `lib.engine.batched`, everywhere. The weights of all pairs never exist
together: the backward pass computes those of a piece anew, from its scores and what is stored of each row, as
FlashAttention does (Dao et al. 2022).

The readable form of the same idea is `lib.numpy_attention.tiled_attention`.
"""

from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from lib.engine import batched, compiled
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
        for number, layer in enumerate(cut.layers):
            loops = _loops(layer, q, v)
            loops.forward(layer, q, k, v, state, scale, first=number == 0)
        ctx.save_for_backward(q, k, v, *state)
        ctx.cut, ctx.scale = cut, scale
        return state[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        q, k, v, *state = ctx.saved_tensors
        to_q = _rows_like(q, q.shape[-1], 0, ctx.cut)
        to_k, to_v = torch.zeros_like(k), torch.zeros_like(v)
        tensors = q, k, v, state, gradient.contiguous(), to_q, to_k, to_v
        with _no_autocast(q):
            for number, layer in enumerate(ctx.cut.layers):
                loops = _loops(layer, q, v)
                loops.backward(layer, *tensors, ctx.scale, first=number == 0)
        return to_q, to_k, to_v, None, None


def _loops(layer: Layer, q: torch.Tensor, v: torch.Tensor) -> ModuleType:
    """The compiled loops where they can compute the layer, else the batched products."""
    return compiled if compiled.takes(layer, q, v) else batched


def _rows_like(q: torch.Tensor, features: int, value: float, cut: Plan) -> torch.Tensor:
    """(heads, n_q, features): of `value`, or of anything if the first layer writes every row anyway."""
    shape = (*q.shape[:-1], features)
    return q.new_empty(shape) if cut.complete else q.new_full(shape, value)
