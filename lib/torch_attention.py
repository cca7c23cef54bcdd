"""Attention in PyTorch: the twin of `lib.numpy_attention`, on any device.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), so batch × heads × tokens × features
as `F.scaled_dot_product_attention` has them; the leading dimensions broadcast. A mask is a
`lib.masks.Mask`, a boolean tensor that broadcasts to (..., n_q, n_k), or None (everything is allowed).
`True` means *may attend*. A row with no allowed key gets weights 0 and output 0, with finite gradients.

`attention` has several back ends, and all compute the same. "dense" is the page of the book: all weights, then
their product with the values. "tiled" and "flex" live in modules of their own.
"""

import importlib
import importlib.util
import math
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lib.engine.checks import (
    allowed_pairs,
    check_booleans,
    check_floats,
    check_queries_and_keys,
    check_values,
    wide,
)
from lib.engine.heads import by_rows, in_groups
from lib.masks import Mask, causal, full
from lib.numpy_attention import score_scale
from lib.readings import arguments
from lib.tiles import EMPTY

BACKENDS = ("auto", "dense", "sdpa", "tiled", "flex")

# Up to so many pairs, a mask written out as an array costs next to nothing.
SMALL = 2**20
# SDPA with an array computes all pairs; skipping pays where at most this share of the tiles is needed.
WORTH_SKIPPING = 0.5


def softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """exp(x) divided by its sum along `dim` (Chapter 1, "From scores to weights").

    A score of −∞ gets weight exactly 0; a row of nothing but −∞ gets zeros, and gradient zero, where
    `torch.softmax` gives NaN. Shape, dtype and device of `x` are kept.
    """
    check_floats("x", x)
    empty = (x == -math.inf).all(dim=dim, keepdim=True)
    return torch.softmax(x.masked_fill(empty, 0), dim=dim).masked_fill(empty, 0)


def attention_weights(
    q: torch.Tensor,
    k: torch.Tensor,
    mask: Mask | torch.Tensor | None = None,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    """α of shape (..., n_q, n_k): each row is a softmax over the keys that its query may read.

    `scale` multiplies the dot products; it defaults to 1/√d. Raises ValueError or TypeError for
    shapes, dtypes, devices and masks that do not fit (Chapter 1, "From scores to weights").
    """
    check_queries_and_keys(q, k)
    scores = wide(q) @ wide(k).transpose(-1, -2) * score_scale(scale, q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(
            ~allowed_pairs(mask, scores.shape, q.device), -math.inf
        )
    return softmax(scores).to(q.dtype)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | torch.Tensor | None = None,
    *,
    scale: float | None = None,
    backend: str = "auto",
    enable_gqa: bool = False,
) -> torch.Tensor:
    """a_i = Σ_j α_ij v_j, of shape (..., n_q, d_v) (Chapter 1, "The output").

    `backend`: "dense" builds the weights, as the page does; "sdpa" calls PyTorch's fused
    `scaled_dot_product_attention`, with the mask as an array; "tiled" skips what the mask forbids, on any
    device and with gradients (`lib.engine.tiled`); "flex" compiles FlexAttention for the mask (`lib.flex`);
    "auto" picks one of them, and `choose_backend` says which and why.
    `enable_gqa`: grouped-query attention (Ainslie et al. 2023): q has a multiple of the heads of k and v, its
    third dimension from the end, and that many neighbouring query heads share a key head.
    Other arguments and errors as in `attention_weights`.
    """
    if backend not in BACKENDS:
        raise ValueError(
            f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}"
        )
    if enable_gqa:
        q, k, v, mask = in_groups(q, k, v, mask)
        shared = attention(q, k, v, mask, scale=scale, backend=backend)
        return shared.flatten(-4, -3)
    check_queries_and_keys(q, k)
    check_values(q, k, v)
    n_q, n_k = q.shape[-2], k.shape[-2]
    if 0 in (q.numel(), k.numel(), v.numel()):  # where fused kernels disagree
        backend = "dense"
    if backend == "auto":
        backend = choose_backend(mask, n_q, n_k, q.device, q.dtype).backend
    if backend == "dense":
        return attention_weights(q, k, mask, scale=scale) @ v
    factor = score_scale(scale, q.shape[-1])
    if backend == "sdpa":
        return _sdpa(q, k, v, mask, factor)
    skipping = importlib.import_module(
        "lib.flex" if backend == "flex" else "lib.engine.tiled"
    )
    return by_rows(partial(skipping.attend, scale=factor), q, k, v, mask)


class Choice(NamedTuple):
    """A back end, and why it was chosen."""

    backend: str
    reason: str


def choose_backend(
    mask: Mask | torch.Tensor | None,
    n_q: int,
    n_k: int | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Choice:
    """What backend="auto" takes for this mask, these lengths, this device and dtype, and the reason.

    Raises TypeError for what is no mask, ValueError or TypeError for lengths that do not fit it.
    """
    n_q, n_k = arguments.lengths(n_q, n_k)
    if isinstance(mask, Mask):
        mask.first_query(n_q, n_k)
    elif mask is not None:
        check_booleans(mask)
    if mask is None or (isinstance(mask, Mask) and mask == full):
        return Choice(
            "sdpa", "every pair is allowed, so PyTorch's fused kernel needs no mask"
        )
    if not isinstance(mask, Mask):
        return Choice(
            "sdpa", "the mask is an array already, which PyTorch's fused kernel takes"
        )
    if mask == causal and n_q == n_k:
        return Choice("sdpa", "PyTorch's fused kernel knows the causal mask")
    if n_q * n_k <= SMALL:
        return Choice("sdpa", f"a mask of {n_q} × {n_k} pairs is small as an array")
    share = _share_of_tiles(mask, n_q, n_k)
    reason = f"{share:.1%} of the tiles hold an allowed pair"
    if share > WORTH_SKIPPING:
        return Choice("sdpa", f"{reason}, too many for skipping to pay")
    on_gpu = torch.device(device).type == "cuda" and importlib.util.find_spec("triton")
    if on_gpu and dtype != torch.float64:  # which FlexAttention's kernels do not know
        return Choice(
            "flex",
            f"{reason}, and on this GPU FlexAttention is compiled to skip the others",
        )
    return Choice("tiled", f"{reason}, and the others are skipped")


@lru_cache(maxsize=16)
def _share_of_tiles(mask: Mask, n_q: int, n_k: int) -> float:
    states = mask.tiles(n_q, n_k).states
    return np.count_nonzero(states != EMPTY) / states.size


def _sdpa(q, k, v, mask, scale):
    n_q, n_k = q.shape[-2], k.shape[-2]
    scores_leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    output_leading = torch.broadcast_shapes(scores_leading, v.shape[:-2])
    q, k, v = (x.expand(*output_leading, *x.shape[-2:]) for x in (q, k, v))
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    # Where n_q ≠ n_k, is_causal aligns top-left, and a mask here bottom-right. And it multiplies −∞ by the scale.
    if isinstance(mask, Mask) and mask == causal and n_q == n_k and scale > 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    allowed = allowed_pairs(mask, torch.Size((*scores_leading, n_q, n_k)), q.device)
    # What a fused kernel returns for an empty row has differed between versions and devices, so
    # empty rows are opened for the kernel and set to zero afterwards; their gradient is zero too.
    empty = ~allowed.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed | empty, scale=scale
    )
    return output.masked_fill(empty, 0)
