"""Attention in PyTorch: the twin of `lib.numpy_attention`, on any device.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), so batch × heads × tokens × features
as `F.scaled_dot_product_attention` has them; the leading dimensions broadcast. A mask is a
`lib.masks.Mask`, a boolean tensor that broadcasts to (..., n_q, n_k), or None (everything is allowed).
`True` means *may attend*. A row with no allowed key gets weights 0 and output 0, with finite gradients.

`attention` has several back ends, and all compute the same. "dense" is the page of the book: all weights, then
their product with the values. The others live in modules of their own.
"""

import importlib
import importlib.util
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lib.masks import Mask, across_heads, causal, explicit, full
from lib.numpy_attention import score_scale
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
    _check_floats("x", x)
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
    _check_queries_and_keys(q, k)
    scores = _wide(q) @ _wide(k).transpose(-1, -2) * score_scale(scale, q.shape[-1])
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
    device and with gradients (`lib.tiled`); "flex" compiles FlexAttention for the mask (`lib.flex`); "auto" picks
    one of them, and `choose_backend` says which and why.
    `enable_gqa`: grouped-query attention (Ainslie et al. 2023): q has a multiple of the heads of k and v, its
    third dimension from the end, and that many neighbouring query heads share a key head.
    Other arguments and errors as in `attention_weights`.
    """
    if backend not in BACKENDS:
        raise ValueError(
            f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}"
        )
    if enable_gqa:
        q, k, v, mask = _in_groups(q, k, v, mask)
        shared = attention(q, k, v, mask, scale=scale, backend=backend)
        return shared.flatten(-4, -3)
    _check_queries_and_keys(q, k)
    _check_values(q, k, v)
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
    return _skipping(q, k, v, mask, factor, backend)


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
    """What backend="auto" takes for this mask, these lengths, this device and dtype, and the reason."""
    n_k = n_q if n_k is None else n_k
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


def allowed_pairs(
    mask: Mask | torch.Tensor, shape: torch.Size, device: torch.device
) -> torch.Tensor:
    """`mask` as a boolean tensor (..., n_q, n_k) on `device` that broadcasts to the scores' `shape`."""
    n_q, n_k = shape[-2:]
    if isinstance(mask, Mask):
        i = torch.arange(n_q, device=device)[:, None] + mask.first_query(n_q, n_k)
        j = torch.arange(n_k, device=device)[None, :]
        mask = across_heads(mask.read(i, j), len(shape))
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        given = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise TypeError(
            f"mask: expected a Mask, None or a boolean tensor in which True means 'may attend', got {given}; "
            f"if 1 means 'may attend' in it, use torch.as_tensor(mask).bool()"
        )
    if mask.device != device:
        raise ValueError(
            f"mask: expected a tensor on {device}, where q is, got one on {mask.device}; use mask.to(q.device)"
        )
    _check_mask_shape(mask.shape, shape)
    # A tensor with fewer than two dimensions broadcasts here, but not in every fused kernel.
    return mask.expand(*mask.shape[:-2], n_q, n_k)


def _check_mask_shape(given: torch.Size, scores: torch.Size) -> None:
    try:
        fits = torch.broadcast_shapes(given, scores) == scores
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask: expected a shape that broadcasts to {tuple(scores)} (..., n_q, n_k), got {tuple(given)}"
        )


def _sdpa(q, k, v, mask, scale):
    n_q, n_k = q.shape[-2], k.shape[-2]
    scores_leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    output_leading = torch.broadcast_shapes(scores_leading, v.shape[:-2])
    q, k, v = (x.expand(*output_leading, *x.shape[-2:]) for x in (q, k, v))
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    # Where n_q ≠ n_k, is_causal aligns top-left, and a mask here bottom-right.
    if isinstance(mask, Mask) and mask == causal and n_q == n_k:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    allowed = allowed_pairs(mask, torch.Size((*scores_leading, n_q, n_k)), q.device)
    # What a fused kernel returns for an empty row has differed between versions and devices, so
    # empty rows are opened for the kernel and set to zero afterwards; their gradient is zero too.
    empty = ~allowed.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed | empty, scale=scale
    )
    return output.masked_fill(empty, 0)


def _skipping(q, k, v, mask, scale, backend):
    """The back ends that skip what a Mask forbids: `attend` of `lib.tiled` and of `lib.flex`.

    They take q (rows, heads, n_q, d), k and v (rows, key heads, n_k, …): one row for each row of the mask's
    batch, or one in all. Heads that share their keys stay together, so there may be fewer key heads.
    """
    n_q, n_k = q.shape[-2], k.shape[-2]
    scores_leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    leading = torch.broadcast_shapes(scores_leading, v.shape[:-2])
    scores = torch.Size((*scores_leading, n_q, n_k))
    mask = full if mask is None else mask
    if not isinstance(mask, Mask):
        allowed = allowed_pairs(mask, scores, q.device)
        if allowed.numel() > n_q * n_k:  # an array for each head: each head is a row
            each = (x.expand(*leading, *x.shape[-2:]) for x in (q, k, v, allowed))
            *qkv, allowed = (x.flatten(0, -3) for x in each)
            output = _skipping(*qkv, explicit(allowed), scale, backend)
            return output.unflatten(0, leading)
        mask = explicit(allowed.reshape(n_q, n_k))
    if mask.batch is not None:
        table = torch.empty(mask.batch, n_q, n_k, device="meta")
        _check_mask_shape(across_heads(table, len(scores)).shape, scores)
    has_rows = (mask.batch or 1) > 1
    axis = len(leading) - len(scores_leading)  # where the rows stand

    def as_rows(x, leading):
        x = x.expand(*leading, *x.shape[-2:])
        rows = x.movedim(axis, 0) if has_rows else x[None]
        return rows.reshape(len(rows), -1, *x.shape[-2:])

    k, v = (x[(None,) * (len(leading) + 2 - x.ndim)] for x in (k, v))
    shared = 0
    while shared < len(leading) - (axis + 1) * has_rows and (
        k.shape[-3 - shared] == v.shape[-3 - shared] == 1
    ):
        shared += 1
    of_keys = leading[: len(leading) - shared] + (1,) * shared
    attend = importlib.import_module(f"lib.{backend}").attend
    output = attend(
        as_rows(q, leading), as_rows(k, of_keys), as_rows(v, of_keys), mask, scale
    )
    if not has_rows:
        return output.reshape(*leading, *output.shape[-2:])
    others = leading[:axis] + leading[axis + 1 :]
    return output.reshape(len(output), *others, *output.shape[-2:]).movedim(0, axis)


def _check_floats(name: str, x: torch.Tensor) -> None:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(
            f"{name}: expected a tensor of floats, got {given}; convert with torch.as_tensor({name}).float()"
        )


def _wide(x: torch.Tensor) -> torch.Tensor:
    """Half precision is widened for scores and sums: a dot product soon leaves the range of float16."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _in_groups(q, k, v, mask):
    """Grouped-query heads as an axis of their own: q (…, key heads, group, n_q, d), k and v with 1 in its place."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        _check_floats(name, x)
        if x.ndim < 3:
            raise ValueError(
                f"{name}: with enable_gqa expected shape (..., heads, tokens, features), got {tuple(x.shape)}"
            )
    heads, key_heads = q.shape[-3], k.shape[-3]
    if v.shape[-3] != key_heads or key_heads == 0 or heads % key_heads:
        raise ValueError(
            f"q, k and v: with enable_gqa expected a multiple of the heads of k in q and as many heads in v as in k, "
            f"got {heads}, {key_heads} and {v.shape[-3]} heads"
        )
    if isinstance(mask, torch.Tensor) and mask.ndim >= 3:
        mask = (
            mask.unsqueeze(-3)
            if mask.shape[-3] == 1
            else mask.unflatten(-3, (key_heads, -1))
        )
    q = q.unflatten(-3, (key_heads, -1))
    return q, k.unsqueeze(-3), v.unsqueeze(-3), mask


def _check_queries_and_keys(q: torch.Tensor, k: torch.Tensor) -> None:
    for name, x in (("q", q), ("k", k)):
        _check_floats(name, x)
        if x.ndim < 2:
            raise ValueError(
                f"{name}: expected shape (..., tokens, features), got {tuple(x.shape)}"
            )
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"q and k: expected the same number of features, got {tuple(q.shape)} and {tuple(k.shape)}"
        )
    if q.shape[-1] == 0:
        raise ValueError(f"q: expected at least one feature, got {tuple(q.shape)}")
    _check_leading("q and k", q, k)
    _check_same("q and k", q, k)


def _check_values(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    _check_floats("v", v)
    if v.ndim < 2 or v.shape[-2] != k.shape[-2]:
        raise ValueError(
            f"v: expected shape (..., n_k={k.shape[-2]}, d_v), one value for each key, got {tuple(v.shape)}"
        )
    _check_leading("q, k and v", q, k, v)
    _check_same("q and v", q, v)


def _check_leading(names: str, *tensors: torch.Tensor) -> None:
    try:
        torch.broadcast_shapes(*(x.shape[:-2] for x in tensors))
    except RuntimeError:
        shapes = ", ".join(str(tuple(x.shape)) for x in tensors)
        raise ValueError(
            f"{names}: expected leading dimensions that broadcast, got {shapes}"
        ) from None


def _check_same(names: str, a: torch.Tensor, b: torch.Tensor) -> None:
    if a.dtype != b.dtype:
        raise TypeError(
            f"{names}: expected one dtype, got {a.dtype} and {b.dtype}; convert one with .to(dtype)"
        )
    if a.device != b.device:
        raise ValueError(
            f"{names}: expected one device, got {a.device} and {b.device}; move one with .to(device)"
        )
