"""What the functions on tensors share: checks of q, k, v and the mask, whose errors name the argument."""

from typing import Any

import torch

from lib.masks import Mask, across_heads
from lib.readings import advice, arguments, shapes


def check_floats(name: str, x: torch.Tensor) -> None:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(
            f"{name}: expected a tensor of floats, got {given}; convert with torch.as_tensor({name}).float()"
        )


def wide(x: torch.Tensor) -> torch.Tensor:
    """Half precision is widened for scores and sums: a dot product soon leaves the range of float16."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_queries_and_keys(q: torch.Tensor, k: torch.Tensor) -> None:
    check_floats("q", q)
    check_floats("k", k)
    shapes.check_queries_and_keys(tuple(q.shape), tuple(k.shape))
    _check_same("q and k", q, k)


def check_values(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    check_floats("v", v)
    shapes.check_values(tuple(q.shape), tuple(k.shape), tuple(v.shape))
    _check_same("q and v", q, v)


def _check_same(names: str, a: torch.Tensor, b: torch.Tensor) -> None:
    if a.dtype != b.dtype:
        raise TypeError(
            f"{names}: expected one dtype, got {a.dtype} and {b.dtype}; convert one with .to(dtype)"
        )
    if a.device != b.device:
        raise ValueError(
            f"{names}: expected one device, got {a.device} and {b.device}; move one with .to(device)"
        )


def allowed_pairs(
    mask: Mask | torch.Tensor, shape: tuple[int, ...], device: torch.device
) -> torch.Tensor:
    """`mask` as a boolean tensor (..., n_q, n_k) on `device` that broadcasts to the scores' `shape`."""
    n_q, n_k = shape[-2:]
    if isinstance(mask, Mask):
        i = torch.arange(n_q, device=device)[:, None] + mask.first_query(n_q, n_k)
        j = torch.arange(n_k, device=device)[None, :]
        mask = across_heads(mask.read(i, j), len(shape))
    check_booleans(mask)
    if mask.device != device:
        raise ValueError(
            f"mask: expected a tensor on {device}, where q is, got one on {mask.device}; use mask.to(q.device)"
        )
    shapes.check_mask(tuple(mask.shape), tuple(shape))
    # A tensor with fewer than two dimensions broadcasts here, but not in every fused kernel.
    return mask.expand(*mask.shape[:-2], n_q, n_k)


def check_booleans(mask: Any) -> None:
    if isinstance(mask, torch.Tensor):
        if mask.dtype == torch.bool:
            return
        given, instead = mask.dtype, advice.for_numbers(mask.is_floating_point())
    else:
        given = type(mask).__name__
        instead = "to use an array of booleans, torch.as_tensor(mask)"
        instead = arguments.mask_advice(mask, instead)
    raise TypeError(
        f"mask: expected a Mask, None or a boolean tensor in which True means 'may attend', got {given}; {instead}"
    )
