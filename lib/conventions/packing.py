"""Padded and packed texts, as tokenizers and training code write them, to masks (Chapters 3 and 7).

Texts of different lengths are padded to one length, or packed one after another into one row. Libraries say so by one
number for each token, and the same row of numbers means another thing in each of their dialects. So each has
a name here:

>>> from lib.masks import causal
>>> from_attention_mask(np.array([[0, 0, 1, 1, 1]]))
padding([5]) & ~padding([2])
>>> print((causal & from_position_ids(np.array([0, 1, 2, 0, 1]))).show(5))
■⬚⬚⬚⬚
■■⬚⬚⬚
■■■⬚⬚
⬚⬚⬚■⬚
⬚⬚⬚■■

None of these masks hides the future: join them with `causal`. A query may then be left without a key, as the
queries of padding on the left are. Their outputs are **zeros** in the course; elsewhere they may be NaN, or a
mean of everything (`lib.conventions.dialects.table` says where).
"""

from typing import Any

import numpy as np
import torch

from lib.conventions.checks import listed, not_a_mask, tensor, yes_and_no
from lib.masks import Mask, document, padding


def from_attention_mask(attention_mask: np.ndarray | torch.Tensor) -> Mask:
    """The mask that a tokenizer's `attention_mask` (batch, keys) stands for: 1 = text, 0 = padding.

    Integers, booleans or floats 0 and 1; the padding may stand on the left, on the right or between. Keys beyond
    the last column are hidden. With padding on the right the result is ``padding(lengths)``. Raises TypeError
    and ValueError for other numbers and shapes.
    """
    values = _per_key("attention_mask", attention_mask)
    if not yes_and_no(values):
        found = listed(values.unique().tolist())
        raise ValueError(
            f"attention_mask: expected 1 for text and 0 for padding, got {found}; 0 and −inf, to be added to the "
            f"scores, are read by from_key_padding_mask"
        )
    return _keys_where((values == 1).cpu().numpy())


def from_key_padding_mask(key_padding_mask: np.ndarray | torch.Tensor) -> Mask:
    """The mask that PyTorch's `key_padding_mask` (batch, keys) stands for: True = padding, not to be read.

    Floats are what PyTorch adds to the scores: 0 for text, −∞ for padding. Integers are refused, since 1 means
    *text* to a tokenizer and *padding* here. Raises TypeError and ValueError for other numbers and shapes.
    """
    values = _per_key("key_padding_mask", key_padding_mask)
    if values.is_floating_point():
        if problem := not_a_mask("key_padding_mask", values):
            raise ValueError(problem)
        return _keys_where((values == 0).cpu().numpy())
    if values.dtype != torch.bool:
        raise TypeError(
            f"key_padding_mask: expected booleans, True for padding, got {values.dtype}; if 1 is text, as a "
            f"tokenizer has it, use from_attention_mask; if 1 is padding, give key_padding_mask == 1"
        )
    return _keys_where((~values).cpu().numpy())


def from_position_ids(position_ids: np.ndarray | torch.Tensor) -> Mask:
    """The mask of texts that are packed into one row: a new one begins wherever positions begin again at 0.

    `position_ids`: integers (n,) or (batch, n), such as [0, 1, 2, 0, 1] for a text of three tokens and one of two. The
    first may be any, for a row that begins inside a text. Raises ValueError where positions jump: only who wrote
    them knows whether a text ends there.
    """
    values = _per_token("position_ids", position_ids)
    begins = values == 0
    jumps = np.argwhere(~begins[..., 1:] & (np.diff(values) != 1))
    if len(jumps) or values.min(initial=0) < 0:
        *row, place = jumps[0] if len(jumps) else np.argwhere(values < 0)[0]
        found = listed(values[(*row, slice(place, place + 2))].tolist())
        raise ValueError(
            f"position_ids: expected positions from 0 on that go up by one or begin again at 0, got {found} at place "
            f"{place}; say which tokens belong together, and which are padding, with from_segment_ids"
        )
    return _documents(begins.cumsum(axis=-1))


def from_cu_seqlens(cu_seqlens: np.ndarray | torch.Tensor) -> Mask:
    """The mask of texts packed one after another, from flash-attention's summed lengths: 0, n₁, n₁ + n₂, …

    Integers (texts + 1,). For attention of a row to itself, so for one `cu_seqlens` that serves queries and
    keys. ``causal=True`` there is ``causal & from_cu_seqlens(cu_seqlens)``. Raises ValueError for what does
    not begin with 0 or goes down.
    """
    values = _integers("cu_seqlens", cu_seqlens)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"cu_seqlens: expected shape (texts + 1,), got {values.shape}")
    lengths = np.diff(values)
    if values[0] != 0 or (lengths < 0).any():
        raise ValueError(
            f"cu_seqlens: expected 0 and then the lengths summed up, as [0, 3, 5] for texts of 3 and 2 tokens, got "
            f"{listed(values.tolist())}; of lengths alone, np.cumsum([0, *lengths]) makes them"
        )
    return _documents(np.repeat(np.arange(len(lengths)), lengths))


def from_segment_ids(
    segment_ids: np.ndarray | torch.Tensor, *, padding: int | None = None
) -> Mask:
    """The mask of packed texts, from a number for each token: query and key must have the same one.

    `segment_ids`: integers (n,) or (batch, n). `padding` is the number that stands for padding, such as −1, or
    0 where texts are counted from 1: those tokens are read by nobody and read nothing. With None there is no padding,
    and a negative number is refused. Raises ValueError for it and for other shapes.
    """
    values = _per_token("segment_ids", segment_ids)
    if padding is None and (values < 0).any():
        raise ValueError(
            f"segment_ids: expected numbers of at least 0, got {values.min()}; if it stands for padding, say "
            f"padding={values.min()}"
        )
    mask = _documents(np.unique(values, return_inverse=True)[1].reshape(values.shape))
    return mask if padding is None else mask & _keys_where(values != padding)


def _documents(ids: np.ndarray) -> Mask:
    """`ids` doubled: numbers that go up one by one could be taken for positions."""
    return document(2 * ids)


def _keys_where(kept: np.ndarray) -> Mask:
    """The keys that are kept, (n,) or (batch, n), as stretches from one length to another: mostly a single one."""
    edges = np.diff(kept.astype(int), axis=-1, prepend=0, append=0)
    n = kept.shape[-1]
    starts, ends = (
        np.sort(np.where(edges == edge, np.arange(n + 1), n + 1)) for edge in (1, -1)
    )
    number = int((edges == 1).sum(axis=-1).max(initial=1))
    none = starts > n  # rows with fewer stretches than others
    starts[none] = ends[none] = 0
    stretches = [_stretch(starts[..., s], ends[..., s]) for s in range(number)]
    return _any_of(stretches)


def _stretch(start: np.ndarray, end: np.ndarray) -> Mask:
    return padding(end) & ~padding(start) if start.any() else padding(end)


def _any_of(masks: list[Mask]) -> Mask:
    """Joined by halves, so that many of them nest only a few deep."""
    half = len(masks) // 2
    return _any_of(masks[:half]) | _any_of(masks[half:]) if half else masks[0]


def _per_key(name: str, array: Any) -> torch.Tensor:
    values = tensor(name, array)
    if values.ndim != 2:
        advice = (
            f"of one text, {name}[None]"
            if values.ndim == 1
            else "with an entry for each query and key, from_sdpa, from_mha or from_additive"
        )
        raise ValueError(
            f"{name}: expected shape (batch, keys), got {tuple(values.shape)}; {advice}"
        )
    return values


def _per_token(name: str, array: Any) -> np.ndarray:
    values = _integers(name, array)
    if values.ndim not in (1, 2):
        raise ValueError(
            f"{name}: expected shape (n,) or (batch, n), got {values.shape}"
        )
    return values


def _integers(name: str, array: Any) -> np.ndarray:
    values = tensor(name, array)
    if values.is_floating_point() or values.dtype == torch.bool:
        raise TypeError(f"{name}: expected integers, got {values.dtype}")
    return values.cpu().numpy().astype(np.int64)
