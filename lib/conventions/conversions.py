"""From a course mask to the dialects of other libraries, and back (Chapter 3, "Who means what by True").

In the course `True` means *may attend*, and with n_k > n_q the queries are the last n_q positions. Elsewhere True
may mean *blocked*, a mask may be numbers to add, and a single query may stand first. A mask handed over as it is
then gives a wrong answer of the right shape, so each conversion has a name.

`mask` is a `lib.masks.Mask`, or a boolean array or tensor (..., n_q, n_k). For a Mask give `n_q`, and `n_k` if it
differs. What the libraries mean is recorded in `lib.conventions.dialects`.
"""

import math
from numbers import Real

import numpy as np
import torch

from lib.conventions.checks import booleans, enough, not_a_mask, tensor
from lib.masks import Mask, across_heads
from lib.readings import arguments

MaskLike = Mask | np.ndarray | torch.Tensor


def to_sdpa(
    mask: MaskLike, n_q: int | None = None, n_k: int | None = None
) -> torch.Tensor:
    """`attn_mask` for `F.scaled_dot_product_attention`: booleans, True = takes part.

    Shape (n_q, n_k), or (batch, 1, n_q, n_k) for a mask with a batch, so that it meets
    (batch, heads, n_q, n_k). The queries are the last n_q positions, unlike with `is_causal=True`: see
    `top_left`. Raises TypeError for what is no mask, ValueError for lengths that are missing or do not fit,
    and for an array of three axes, whose first may be the batch or the heads.
    """
    if isinstance(mask, Mask):
        if n_q is None:
            raise ValueError(
                f"n_q: expected the number of queries, since {mask!r} fits any; got None"
            )
        return across_heads(torch.tensor(mask.dense(n_q, n_k)), 4)
    if callable(mask) or mask is None:
        advice = "if nothing is masked, give lib.masks.full"
        raise TypeError(
            f"mask: expected a Mask or booleans, got {type(mask).__name__}; {arguments.mask_advice(mask, advice)}"
        )
    allowed = booleans("mask", mask)
    if allowed.ndim == 3:
        raise ValueError(
            f"mask: the first axis of an array of shape {tuple(allowed.shape)} may be the batch or the heads; "
            f"give explicit(mask) or mask[:, None] for a mask for each row of the batch, mask[None] for one for "
            f"each head"
        )
    rows, columns = allowed.shape[-2:]
    if n_k is None:
        n_k = columns if n_q is None else n_q
    if n_q is None:
        n_q = rows
    if (rows, columns) != (n_q, n_k):
        raise ValueError(
            f"mask: expected shape (..., {n_q}, {n_k}), got {tuple(allowed.shape)}; if it has one entry for each key, "
            f"(batch, keys), from_attention_mask or from_key_padding_mask"
        )
    return allowed


def from_sdpa(attn_mask: np.ndarray | torch.Tensor) -> torch.Tensor:
    """The mask that SDPA's boolean `attn_mask` stands for: True = may attend.

    A float `attn_mask` is refused: SDPA adds it to the scores, and 0 and 1 would both let a key through.
    """
    return booleans("attn_mask", attn_mask)


def to_mha(
    mask: MaskLike,
    n_q: int | None = None,
    n_k: int | None = None,
    *,
    heads: int | None = None,
) -> torch.Tensor:
    """`attn_mask` for `nn.MultiheadAttention` and the Transformer layers: booleans, True = **blocked**.

    Shape (n_q, n_k); or, for a mask with a batch or with heads, (batch · heads, n_q, n_k), the heads of one row
    of the batch next to each other: then give `heads`. A row without an allowed key may give NaN
    there; `lib.conventions.dialects.table` says when. Errors as in `to_sdpa`.
    """
    allowed = to_sdpa(mask, n_q, n_k)
    if allowed.ndim == 2:
        return ~allowed
    if heads is None:
        raise ValueError(
            f"heads: expected the number of heads, since the mask of shape {tuple(allowed.shape)} becomes "
            f"(batch · heads, n_q, n_k); got None"
        )
    heads = arguments.integer("heads", heads, at_least=1)
    if allowed.ndim != 4 or allowed.shape[1] not in (1, heads):
        raise ValueError(
            f"mask: expected shape (n_q, n_k) or (batch, 1 or {heads} heads, n_q, n_k), got {tuple(allowed.shape)}"
        )
    batch, _, *lengths = allowed.shape
    return ~allowed.expand(batch, heads, *lengths).reshape(batch * heads, *lengths)


def from_mha(
    attn_mask: np.ndarray | torch.Tensor, *, heads: int | None = None
) -> torch.Tensor:
    """The mask that a boolean `attn_mask` of `nn.MultiheadAttention` stands for: True = may attend.

    Shape (n_q, n_k), or (batch, heads, n_q, n_k) of one with (batch · heads, n_q, n_k): then give `heads`.
    """
    blocked = booleans("attn_mask", attn_mask)
    if blocked.ndim == 2:
        return ~blocked
    if blocked.ndim != 3 or heads is None:
        raise ValueError(
            f"attn_mask: expected shape (n_q, n_k), or (batch · heads, n_q, n_k) and the number of heads; "
            f"got shape {tuple(blocked.shape)} and heads={heads}"
        )
    heads = arguments.integer("heads", heads, at_least=1)
    if len(blocked) % heads:
        raise ValueError(
            f"attn_mask: expected shape (batch · {heads}, n_q, n_k), got {tuple(blocked.shape)}"
        )
    return ~blocked.unflatten(0, (len(blocked) // heads, heads))


def to_additive(
    mask: MaskLike,
    n_q: int | None = None,
    n_k: int | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    blocked: float = -math.inf,
) -> torch.Tensor:
    """Numbers to add to the scores: 0 = may attend, `blocked` elsewhere. Shapes as in `to_sdpa`.

    −∞ gives weight exactly 0. For a library that wants a finite number, give `blocked`, best
    ``torch.finfo(dtype).min``. With it a row without an allowed key reads every key; two such masks added may
    overflow to −∞; and a forbidden score that is larger than the allowed ones by |blocked| gets through.

    Raises ValueError where `dtype` cannot hold `blocked`, as float16 cannot hold −1e9, or where `blocked` is so
    small that a forbidden key would keep a weight at equal scores (Chapter 3, "How negative is enough").
    """
    allowed = to_sdpa(mask, n_q, n_k)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(
            f"dtype: expected a floating-point dtype, such as torch.float32; got {dtype}"
        )
    if blocked != -math.inf:
        _check_finite(blocked, dtype)
    bias = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return bias.masked_fill(~allowed, blocked)


def from_additive(bias: np.ndarray | torch.Tensor) -> torch.Tensor:
    """The mask that an additive one stands for: True where `bias` is 0, False where it blocks.

    Refused is what no boolean mask can say: biases other than 0 and one number that blocks, and rows that a
    finite number blocks as a whole, since softmax lets such a row read every key.
    """
    bias = tensor("bias", bias)
    if not bias.is_floating_point():
        raise TypeError(
            f"bias: expected floats, 0 where a query may attend; got {bias.dtype}; a mask of booleans is read by "
            f"from_sdpa or from_mha, one of 0 and 1 for each key by from_attention_mask"
        )
    if bias.ndim < 2:
        raise ValueError(
            f"bias: expected shape (..., n_q, n_k), got {tuple(bias.shape)}"
        )
    if problem := not_a_mask("bias", bias):
        raise ValueError(problem)
    return bias == 0


def top_left(mask: Mask, n_q: int, n_k: int) -> torch.Tensor:
    """The mask with its queries at the **first** n_q positions, as `is_causal=True` of SDPA has them.

    Booleans (n_q, n_k), or (batch, 1, n_q, n_k), True = may attend. In the course, in flash-attention from
    version 2.1 on, and in decoding with a cache, the queries are the last ones: that is `to_sdpa`.
    """
    if not isinstance(mask, Mask):
        raise TypeError(
            f"mask: expected a Mask, whose queries can be moved, got {type(mask).__name__}; for a square array "
            f"that is explicit(array)"
        )
    n_q, n_k = arguments.lengths(n_q, n_k)
    i, j = torch.arange(n_q)[:, None], torch.arange(n_k)[None, :]
    return across_heads(mask.allowed(i, j), 4)


def _check_finite(blocked: float, dtype: torch.dtype) -> None:
    if not isinstance(blocked, Real) or not blocked < 0:
        raise ValueError(
            f"blocked: expected −inf or a negative number, got {blocked!r}"
        )
    lowest = torch.finfo(dtype).min
    if blocked < lowest:
        raise ValueError(
            f"blocked: expected a number that {dtype} can hold, so at least {lowest:.6g}; got {blocked:.6g}; "
            f"use −inf, or torch.finfo({dtype}).min"
        )
    if blocked > -enough(dtype):
        raise ValueError(
            f"blocked: expected at most −{math.ceil(enough(dtype))}, since exp of more is not 0 in {dtype}; "
            f"got {blocked:.6g}; use −inf"
        )
