"""Attention in NumPy, written to be read beside Chapter 1.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v); the leading dimensions broadcast.
A mask is a `lib.masks.Mask`, a boolean array that broadcasts to (..., n_q, n_k), or None (everything is
allowed). `True` means *may attend*. A row with no allowed key gets weights 0 and output 0.
"""

import math
from typing import Any

import numpy as np

from lib.masks import Mask, across_heads


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(x) divided by its sum along `axis`, without overflow (Chapter 1, "From scores to weights").

    A score of −∞ gets weight exactly 0; a row of nothing but −∞ gets zeros. The result has the shape
    and the dtype of `x`. Raises TypeError if `x` is not an array of floats.
    """
    x = _floats("x", x)
    wide = _wide(x)
    # The largest score becomes 0, so exp never overflows; softmax does not see a common shift.
    largest = wide.max(axis=axis, keepdims=True, initial=-np.inf)
    exponentials = np.exp(wide - np.where(largest == -np.inf, 0, largest))
    total = exponentials.sum(axis=axis, keepdims=True)
    return (exponentials / np.where(total == 0, 1, total)).astype(x.dtype)


def attention_weights(
    q: np.ndarray,
    k: np.ndarray,
    mask: Mask | np.ndarray | None = None,
    *,
    scale: float | None = None,
) -> np.ndarray:
    """α of shape (..., n_q, n_k): each row is a softmax over the keys that its query may read.

    `scale` multiplies the dot products; it defaults to 1/√d. Raises ValueError or TypeError for
    shapes, dtypes and masks that do not fit (Chapter 1, "From scores to weights").
    """
    q, k = _floats("q", q), _floats("k", k)
    n_q, n_k = _check_shapes(q, k)
    scores = _wide(q) @ np.swapaxes(_wide(k), -1, -2) * score_scale(scale, q.shape[-1])
    if mask is not None:
        allowed = allowed_pairs(mask, n_q, n_k, scores.shape)
        scores = np.where(allowed, scores, -np.inf)
    return softmax(scores).astype(np.result_type(q, k))


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: Mask | np.ndarray | None = None,
    *,
    scale: float | None = None,
) -> np.ndarray:
    """a_i = Σ_j α_ij v_j, of shape (..., n_q, d_v) (Chapter 1, "The output").

    Arguments and errors as in `attention_weights`.
    """
    v = _floats("v", v)
    weights = attention_weights(q, k, mask, scale=scale)
    n_k = weights.shape[-1]
    if v.ndim < 2 or v.shape[-2] != n_k:
        raise ValueError(
            f"v: expected shape (..., n_k={n_k}, d_v), one value for each key, got {v.shape}"
        )
    _check_leading("v and the weights", v, weights)
    return weights @ v


def score_scale(scale: float | None, features: int) -> float:
    """The factor on the dot products: `scale`, or 1/√features where it is None. TypeError if no number."""
    if scale is None:
        return 1 / math.sqrt(features)
    if not isinstance(scale, int | float | np.integer | np.floating):
        raise TypeError(f"scale: expected a number, or None for 1/√d, got {scale!r}")
    return float(scale)  # a NumPy float64 would turn float32 scores into float64


def allowed_pairs(
    mask: Mask | np.ndarray, n_q: int, n_k: int, shape: tuple[int, ...]
) -> np.ndarray:
    """`mask` as a boolean array that broadcasts to the scores' `shape` (..., n_q, n_k)."""
    if isinstance(mask, Mask):
        mask = across_heads(mask.dense(n_q, n_k), len(shape))
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"mask: expected a Mask, None or a boolean array in which True means 'may attend', got an array of "
            f"{mask.dtype}; if 1 means 'may attend' in it, use mask.astype(bool)"
        )
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask: expected a shape that broadcasts to {shape} (..., n_q, n_k), got {mask.shape}"
        )
    return mask


def _floats(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected an array of floats, got {array.dtype}; convert with np.asarray({name}, float)"
        )
    return array


def _wide(x: np.ndarray) -> np.ndarray:
    """float16 is widened for the sums inside; every other dtype is kept."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _check_shapes(q: np.ndarray, k: np.ndarray) -> tuple[int, int]:
    for name, array in (("q", q), ("k", k)):
        if array.ndim < 2:
            raise ValueError(
                f"{name}: expected shape (..., tokens, features), got {array.shape}"
            )
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"q and k: expected the same number of features, got {q.shape} and {k.shape}"
        )
    if q.shape[-1] == 0:
        raise ValueError(f"q: expected at least one feature, got {q.shape}")
    _check_leading("q and k", q, k)
    return q.shape[-2], k.shape[-2]


def _check_leading(names: str, a: np.ndarray, b: np.ndarray) -> None:
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"{names}: expected leading dimensions that broadcast, got shapes {a.shape} and {b.shape}"
        ) from None
