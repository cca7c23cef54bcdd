"""Attention by PyTorch's fused `scaled_dot_product_attention`, with the mask as an array."""

import torch
import torch.nn.functional as F

from lib.engine.checks import allowed_pairs
from lib.masks import Mask, causal


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    """The output (..., n_q, d_v), for leading dimensions that broadcast and any mask that `attention` takes."""
    n_q, n_k = q.shape[-2], k.shape[-2]
    scores_leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    output_leading = torch.broadcast_shapes(scores_leading, v.shape[:-2])
    q, k, v = (x.expand(*output_leading, *x.shape[-2:]) for x in (q, k, v))
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    # Where n_q ≠ n_k, is_causal aligns top-left, and a mask here bottom-right. And it multiplies −∞ by the scale.
    if isinstance(mask, Mask) and mask == causal and n_q == n_k and scale > 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    allowed = allowed_pairs(mask, (*scores_leading, n_q, n_k), q.device)
    # What a fused kernel returns for an empty row has differed between versions and devices, so
    # empty rows are opened for the kernel and set to zero afterwards; their gradient is zero too.
    empty = ~allowed.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed | empty, scale=scale
    )
    return output.masked_fill(empty, 0)
