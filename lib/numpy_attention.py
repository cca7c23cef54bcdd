"""Attention in NumPy, written to be read beside Chapters 1 and 9.

Shapes: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v); the leading dimensions broadcast.
A mask is a `lib.masks.Mask`, a boolean array that broadcasts to (..., n_q, n_k), or None (everything is
allowed). `True` means *may attend*. A row with no allowed key gets weights 0 and output 0.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Never

import numpy as np

from lib.masks import Mask, across_heads, explicit, full
from lib.readings import advice, arguments, shapes
from lib.tiles import EMPTY, FULL, PARTIAL

# How many neighbouring tiles `tiled_attention` takes in one go: fewer, larger products of matrices.
RUN = 8


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
    shapes.check_queries_and_keys(q.shape, k.shape)
    scores = _wide(q) @ np.swapaxes(_wide(k), -1, -2) * score_scale(scale, q.shape[-1])
    if mask is not None:
        allowed = allowed_pairs(mask, *scores.shape[-2:], scores.shape)
        scores = np.where(allowed, scores, -np.inf)
    return softmax(scores).astype(np.result_type(q, k))


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: Mask | np.ndarray | None = None,
    *,
    scale: float | None = None,
    **unknown: Never,
) -> np.ndarray:
    """a_i = Σ_j α_ij v_j, of shape (..., n_q, d_v) (Chapter 1, "The output, and what it is for").

    Arguments and errors as in `attention_weights`; TypeError for an option of other libraries, with what to do here.
    Values that no query may read must be finite all the same: 0 · NaN is NaN.
    """
    advice.refuse_options(unknown)
    v = _floats("v", v)
    weights = attention_weights(q, k, mask, scale=scale)
    shapes.check_values(np.shape(q), np.shape(k), v.shape)
    return weights @ v


def tiled_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: Mask | np.ndarray | None = None,
    *,
    tile: int = 64,
    scale: float | None = None,
    **unknown: Never,
) -> np.ndarray:
    """`attention` without ever holding all scores: tile by tile, with an online softmax (Chapter 9).

    EMPTY tiles are not read, and FULL ones need no mask, so that a sparse mask costs about what the pairs
    it allows cost. `tile` is the number of queries, and of keys, of a tile; other arguments and errors
    are those of `attention` (Rabe & Staats 2021; Dao et al. 2022).
    """
    advice.refuse_options(unknown)
    q, k, v = _floats("q", q), _floats("k", k), _floats("v", v)
    tile = arguments.integer("tile", tile, at_least=1)
    shapes.check_queries_and_keys(q.shape, k.shape)
    shapes.check_values(q.shape, k.shape, v.shape)
    n_q, n_k = q.shape[-2], k.shape[-2]
    leading = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    mask, batch = _as_mask(mask, (*leading, n_q, n_k))
    states = _for_all(mask.tiles(n_q, n_k, tile).states)
    leading = np.broadcast_shapes(leading, v.shape[:-2])
    output = np.zeros((*leading, n_q, v.shape[-1]), np.result_type(q, k, v))

    q, k, v = _wide(q), _wide(k), _wide(v)
    scale = score_scale(scale, q.shape[-1])
    i, j = np.arange(n_q)[:, None] + mask.first_query(n_q, n_k), np.arange(n_k)[None, :]

    def block(row, run):
        """Scores and values of neighbouring tiles of one row; only PARTIAL tiles ask the mask."""
        rows = slice(row * tile, (row + 1) * tile)
        keys = slice(run[0] * tile, (run[-1] + 1) * tile)
        scores = q[..., rows, :] * scale @ np.swapaxes(k[..., keys, :], -1, -2)
        for n in np.flatnonzero(states[row, run] == PARTIAL):
            within = slice(n * tile, (n + 1) * tile)
            allowed = mask.read(i[rows], j[:, keys][:, within])
            allowed = allowed.reshape(*batch, *allowed.shape[-2:])
            np.copyto(scores[..., within], -np.inf, where=~allowed)
        return scores, v[..., keys, :]

    for row, states_of_row in enumerate(states):
        blocks = (block(row, run) for run in _runs(states_of_row))
        rows = slice(row * tile, (row + 1) * tile)
        output[..., rows, :] = _online_softmax(blocks)
    return output


def _online_softmax(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The output (..., n_q, d_v) of keys that pass by in blocks: scores (..., n_q, keys), values (..., keys, d_v).

    It keeps the largest score so far, the sum of exponentials so far and the weighted sum of values so
    far. When a larger score comes, both sums are rescaled to it (Milakov & Gimelshein 2018).
    """
    largest, total, weighted = -np.inf, 0.0, 0.0
    for scores, values in blocks:
        so_far = largest
        largest = np.maximum(so_far, scores.max(axis=-1, keepdims=True))
        shift = np.where(largest == -np.inf, 0, largest)  # no key yet: no ∞ − ∞
        exponentials = np.exp(scores - shift)
        rescale = np.exp(so_far - shift)
        total = total * rescale + exponentials.sum(axis=-1, keepdims=True)
        weighted = weighted * rescale + exponentials @ values
    return weighted / np.where(total == 0, 1, total)


def _for_all(states: np.ndarray) -> np.ndarray:
    """One map (tile rows, tile columns) for all rows of a batch: PARTIAL where they differ."""
    batch = tuple(range(states.ndim - 2))
    smallest = states.min(axis=batch, initial=FULL)
    largest = states.max(axis=batch, initial=EMPTY)
    return np.where(smallest == largest, smallest, PARTIAL)


def _runs(states: np.ndarray) -> Iterator[np.ndarray]:
    """The columns of neighbouring tiles that are not EMPTY, `RUN` at most in one go; `states`: (tile columns,)."""
    columns = np.flatnonzero(states != EMPTY)
    for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        for start in range(0, len(run), RUN):
            yield run[start : start + RUN]


def _as_mask(mask: Any, shape: tuple[int, ...]) -> tuple[Mask, tuple[int, ...]]:
    """What `attention` takes as a mask, as a Mask, and the shape of its batch among the scores' `shape`."""
    n_q, n_k = shape[-2:]
    if mask is None:
        return full, ()
    if isinstance(mask, Mask):
        if mask.batch is None:
            return mask, ()
        batch = (mask.batch, *(1,) * (len(shape) - 3))
        shapes.check_mask((*batch, n_q, n_k), shape)
        return mask, batch
    array = allowed_pairs(mask, n_q, n_k, shape)
    batch = array.shape[:-2]
    array = np.broadcast_to(array, (*batch, n_q, n_k))
    return explicit(array.reshape(math.prod(batch), n_q, n_k)), batch


def score_scale(scale: float | None, features: int) -> float:
    """The factor on the dot products: `scale`, or 1/√features where it is None.

    TypeError if it is no number, ValueError if it is not finite.
    """
    if scale is None:
        return 1 / math.sqrt(features)
    if isinstance(scale, bool) or not isinstance(
        scale, int | float | np.integer | np.floating
    ):
        raise TypeError(f"scale: expected a number, or None for 1/√d, got {scale!r}")
    if not math.isfinite(scale):
        raise ValueError(f"scale: expected a finite number, got {scale!r}")
    return float(scale)  # a NumPy float64 would turn float32 scores into float64


def allowed_pairs(
    mask: Mask | np.ndarray, n_q: int, n_k: int, shape: tuple[int, ...]
) -> np.ndarray:
    """`mask` as a boolean array that broadcasts to the scores' `shape` (..., n_q, n_k)."""
    if isinstance(mask, Mask):
        mask = across_heads(mask.dense(n_q, n_k), len(shape))
    array = np.asarray(mask)
    if array.dtype != bool:
        instead = advice.for_numbers(array.dtype.kind == "f")
        raise TypeError(
            f"mask: expected a Mask, None or a boolean array in which True means 'may attend', got an array of "
            f"{array.dtype}; {arguments.mask_advice(mask, instead)}"
        )
    shapes.check_mask(array.shape, shape)
    return array


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
