"""Attention in PyTorch: the twin of `lib.numpy_attention`, on any device.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), so batch × heads × tokens × features
as `F.scaled_dot_product_attention` has them; the leading dimensions broadcast. A mask is a
`lib.masks.Mask`, a boolean tensor that broadcasts to (..., n_q, n_k), or None (everything is allowed).
`True` means *may attend*. A row with no allowed key gets weights 0 and output 0, with finite gradients.

`attention` has several back ends, and all compute the same. "dense" is the page of the book: all weights, then
their product with the values. The others live in `lib.engine` and `lib.flex`.
"""

import math
from typing import Never

import torch

from lib import flex
from lib.engine import fused, tiled
from lib.engine.checks import (
    allowed_pairs,
    check_floats,
    check_queries_and_keys,
    check_values,
    wide,
)
from lib.engine.choice import Choice, choose_backend
from lib.engine.heads import by_rows, in_groups
from lib.masks import Mask
from lib.numpy_attention import score_scale
from lib.readings import advice

__all__ = ["Choice", "attention", "attention_weights", "choose_backend", "softmax"]

BACKENDS = ("auto", "dense", "sdpa", "tiled", "flex")


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
    **unknown: Never,
) -> torch.Tensor:
    """a_i = Σ_j α_ij v_j, of shape (..., n_q, d_v) (Chapter 1, "The output, and what it is for").

    `backend`: "dense" builds the weights, as the page does; "sdpa" calls PyTorch's fused
    `scaled_dot_product_attention`, with the mask as an array; "tiled" skips what the mask forbids, on any
    device and with gradients (`lib.engine.tiled`); "flex" compiles FlexAttention for the mask (`lib.flex`);
    "auto" picks one of them, and `choose_backend` says which and why.
    `enable_gqa`: grouped-query attention (Ainslie et al. 2023): q has a multiple of the heads of k and v, its
    third dimension from the end, and that many neighbouring query heads share a key head.
    Other arguments and errors as in `attention_weights`; TypeError for an option of other libraries, with what to do
    here. Second derivatives: "dense" and "tiled" have them, and compute all pairs for them; PyTorch's fused kernels
    refuse. "All compute the same" is meant of finite values: a NaN behind the mask reaches every row with "dense" and
    "sdpa", since 0 · NaN is NaN. Under torch.compile, "dense" and "sdpa" are compiled once for all lengths with masks
    such as ``causal & window(4)``; "tiled" and masks of tables (`document`, `explicit`) are compiled for each length,
    and torch.export takes a fixed length.
    """
    advice.refuse_options(unknown)
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
        return fused.attend(q, k, v, mask, factor)
    rows, restore = by_rows(q, k, v, mask)
    skipping = flex if backend == "flex" else tiled
    return restore(skipping.attend(*rows, factor))
