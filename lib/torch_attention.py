"""Attention in PyTorch: the twin of `lib.numpy_attention`, on any device.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), so batch × heads × tokens × features
as `F.scaled_dot_product_attention` has them; the leading dimensions broadcast. A mask is a
`lib.masks.Mask`, a boolean tensor that broadcasts to (..., n_q, n_k), or None (everything is allowed).
`True` means *may attend*. A row with no allowed key gets weights 0 and output 0, with finite gradients.
"""

import math

import torch
import torch.nn.functional as F

from lib.masks import Mask, causal

BACKENDS = ("auto", "dense", "sdpa")


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
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = q @ k.transpose(-1, -2) * scale
    if mask is not None:
        scores = scores.masked_fill(
            ~allowed_pairs(mask, scores.shape, q.device), -math.inf
        )
    return softmax(scores)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | torch.Tensor | None = None,
    *,
    scale: float | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """a_i = Σ_j α_ij v_j, of shape (..., n_q, d_v) (Chapter 1, "The output").

    `backend`: "dense" builds the weights, as the page does; "sdpa" calls PyTorch's fused
    `scaled_dot_product_attention`; "auto" takes "sdpa". Other arguments and errors as in
    `attention_weights`.
    """
    if backend not in BACKENDS:
        raise ValueError(
            f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}"
        )
    _check_queries_and_keys(q, k)
    _check_values(q, k, v)
    if backend == "dense":
        return attention_weights(q, k, mask, scale=scale) @ v
    return _sdpa(q, k, v, mask, scale)


def allowed_pairs(
    mask: Mask | torch.Tensor, shape: torch.Size, device: torch.device
) -> torch.Tensor:
    """`mask` as a boolean tensor on `device` that broadcasts to the scores' `shape` (..., n_q, n_k)."""
    if isinstance(mask, Mask):
        n_q, n_k = shape[-2:]
        i = torch.arange(n_q, device=device)[:, None] + mask.first_query(n_q, n_k)
        j = torch.arange(n_k, device=device)[None, :]
        return mask.rule(i, j)
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        given = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise TypeError(
            f"mask: expected a Mask, None or a boolean tensor in which True means 'may attend', got {given}"
        )
    if mask.device != device:
        raise ValueError(
            f"mask: expected a tensor on {device}, where q is, got one on {mask.device}"
        )
    try:
        fits = torch.broadcast_shapes(mask.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask: expected a shape that broadcasts to {tuple(shape)} (..., n_q, n_k), got {tuple(mask.shape)}"
        )
    return mask


def _sdpa(q, k, v, mask, scale):
    n_q, n_k = q.shape[-2], k.shape[-2]
    leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    if (
        n_q == 0 or n_k == 0
    ):  # nothing to fuse, and the fused kernels differ in what they return
        return attention_weights(q, k, mask, scale=scale) @ v
    q, k, v = (x.expand(*leading, *x.shape[-2:]) for x in (q, k, v))
    if mask is None or (isinstance(mask, Mask) and mask == causal and n_q == n_k):
        return F.scaled_dot_product_attention(
            q, k, v, is_causal=mask is not None, scale=scale
        )
    allowed = allowed_pairs(mask, torch.Size((*leading, n_q, n_k)), q.device)
    # What a fused kernel returns for an empty row has differed between versions and devices, so
    # empty rows are opened for the kernel and set to zero afterwards; their gradient is zero too.
    empty = ~allowed.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed | empty, scale=scale
    )
    return output.masked_fill(empty, 0)


def _check_floats(name: str, x: torch.Tensor) -> None:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(f"{name}: expected a tensor of floats, got {given}")


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
    for what in ("dtype", "device"):
        if getattr(a, what) != getattr(b, what):
            raise TypeError(
                f"{names}: expected one {what}, got {getattr(a, what)} and {getattr(b, what)}"
            )
