"""Heads and batches as the back ends want them, and back: grouped-query heads, and rows of a mask's batch."""

from collections.abc import Callable

import torch

from lib.engine.checks import allowed_pairs, check_floats
from lib.masks import Mask, explicit, full
from lib.readings import shapes

# q (rows, heads, n_q, d), k (rows, key heads, n_k, d), v (rows, key heads, n_k, d_v) and a mask with that many
# rows, or one row. Query head h reads key head ⌊h · key heads / heads⌋.
Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor, Mask]
# From the output for rows, (rows, heads, n_q, d_v), to (..., n_q, d_v).
Restore = Callable[[torch.Tensor], torch.Tensor]


def in_groups(q, k, v, mask):
    """Grouped-query heads as an axis of their own: q (…, key heads, group, n_q, d), k and v with 1 in its place."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_floats(name, x)
        if x.ndim < 3:
            raise ValueError(
                f"{name}: with enable_gqa expected shape (..., heads, tokens, features), got {tuple(x.shape)}"
            )
    shapes.check_features(tuple(q.shape), tuple(k.shape))
    heads, key_heads = q.shape[-3], k.shape[-3]
    if v.shape[-3] != key_heads or key_heads == 0 or heads % key_heads:
        raise ValueError(
            f"q, k and v: with enable_gqa expected a multiple of the heads of k in q and as many heads in v as in k, "
            f"got {heads}, {key_heads} and {v.shape[-3]} heads"
        )
    if isinstance(mask, Mask) and mask.batch is not None and q.ndim == k.ndim == 3:
        raise ValueError(
            f"mask: with enable_gqa a mask of {mask.batch} rows needs q and k of shape (batch, heads, tokens, "
            f"features), got {tuple(q.shape)} and {tuple(k.shape)}; for one row for each head, give an array"
        )
    if isinstance(mask, torch.Tensor) and mask.ndim >= 3:
        leading = torch.broadcast_shapes(q.shape[:-3], k.shape[:-3])
        scores = (*leading, heads, q.shape[-2], k.shape[-2])
        shapes.check_mask(tuple(mask.shape), scores)
        groups = (1, 1) if mask.shape[-3] == 1 else (key_heads, -1)
        mask = mask.unflatten(-3, groups)
    q = q.unflatten(-3, (key_heads, -1))
    return q, k.unsqueeze(-3), v.unsqueeze(-3), mask


def by_rows(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | torch.Tensor | None,
) -> tuple[Rows, Restore]:
    """Any leading dimensions and any mask as the back ends that skip want them; and what makes their output one of q.

    There is one row for each row of the mask's batch, or one in all; everything else becomes heads.
    """
    n_q, n_k = q.shape[-2], k.shape[-2]
    scores_leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    leading = torch.broadcast_shapes(scores_leading, v.shape[:-2])
    scores = (*scores_leading, n_q, n_k)
    if mask is None:
        mask = full
    if not isinstance(mask, Mask):
        allowed = allowed_pairs(mask, scores, q.device)
        if allowed.numel() > n_q * n_k:
            return _each_head_a_row(q, k, v, allowed, leading)
        mask = explicit(allowed.reshape(n_q, n_k))
    if mask.batch is not None:
        heads = (1,) * (len(scores) - 3)
        shapes.check_mask((mask.batch, *heads, n_q, n_k), scores)

    # The axis of the mask's rows, if there are some, comes first, then all others as heads.
    axis = None
    if mask.batch is not None and mask.batch > 1:
        axis = len(leading) - len(scores_leading)
    k, v = (x[(None,) * (len(leading) + 2 - x.ndim)] for x in (k, v))
    of_keys = _without_repetition(leading, k, v, axis)
    q, k, v = _rows(q, leading, axis), _rows(k, of_keys, axis), _rows(v, of_keys, axis)

    def restore(output: torch.Tensor) -> torch.Tensor:
        if axis is None:
            return output.reshape(*leading, *output.shape[-2:])
        others = leading[:axis] + leading[axis + 1 :]
        return output.reshape(len(output), *others, *output.shape[-2:]).movedim(0, axis)

    return (q, k, v, mask), restore


def _each_head_a_row(q, k, v, allowed, leading: torch.Size) -> tuple[Rows, Restore]:
    """For an array that differs between heads: rows of one head, and as many in the mask's batch."""
    q, k, v, allowed = (
        x.expand(*leading, *x.shape[-2:]).flatten(0, -3) for x in (q, k, v, allowed)
    )
    rows = (q[:, None], k[:, None], v[:, None], explicit(allowed))
    return rows, lambda output: output.reshape(*leading, *output.shape[-2:])


def _rows(x: torch.Tensor, leading: torch.Size, axis: int | None) -> torch.Tensor:
    """x, spread out over the leading dimensions, as (rows, heads, tokens, features)."""
    x = x.expand(*leading, *x.shape[-2:])
    rows = x[None] if axis is None else x.movedim(axis, 0)
    return rows.reshape(len(rows), -1, *x.shape[-2:])


def _without_repetition(
    leading: torch.Size, k: torch.Tensor, v: torch.Tensor, axis: int | None
) -> torch.Size:
    """The leading dimensions of the keys and values: the last ones stay 1 where all heads share them."""
    first = 0 if axis is None else axis + 1
    of_keys = list(leading)
    for dim in reversed(range(first, len(leading))):
        if not k.shape[dim] == v.shape[dim] == 1:
            break
        of_keys[dim] = 1
    return torch.Size(of_keys)
