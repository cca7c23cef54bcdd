"""Attention in PyTorch: the twin of `lib.numpy_attention`, on any device.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), so batch × heads × tokens × features
as `F.scaled_dot_product_attention` has them; the leading dimensions broadcast. A mask is a
`lib.masks.Mask`, a boolean tensor that broadcasts to (..., n_q, n_k), or None (everything is allowed).
`True` means *may attend*. A row with no allowed key gets weights 0 and output 0, with finite gradients.
"""

import math

import torch
import torch.nn.functional as F

from lib.masks import Mask, across_heads, causal
from lib.numpy_attention import score_scale

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
    no_tokens = 0 in (q.shape[-2], k.shape[-2])  # where fused kernels disagree
    if backend == "dense" or no_tokens:
        return attention_weights(q, k, mask, scale=scale) @ v
    return _sdpa(q, k, v, mask, score_scale(scale, q.shape[-1]))


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
    try:
        fits = torch.broadcast_shapes(mask.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask: expected a shape that broadcasts to {tuple(shape)} (..., n_q, n_k), got {tuple(mask.shape)}"
        )
    # A tensor with fewer than two dimensions broadcasts here, but not in every fused kernel.
    return mask.expand(*mask.shape[:-2], n_q, n_k)


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


def _check_floats(name: str, x: torch.Tensor) -> None:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(
            f"{name}: expected a tensor of floats, got {given}; convert with torch.as_tensor({name}).float()"
        )


def _wide(x: torch.Tensor) -> torch.Tensor:
    """Half precision is widened for scores and sums: a dot product soon leaves the range of float16."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


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
