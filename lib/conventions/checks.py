"""What a conversion is given, as a tensor; the errors say which conversion an array of another dialect needs."""

import math
from typing import Any

import numpy as np
import torch


def tensor(name: str, array: Any) -> torch.Tensor:
    """`array` as a tensor of booleans or numbers. TypeError for anything else."""
    if isinstance(array, torch.Tensor):
        return array
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name}: expected an array of booleans or numbers, got {array.dtype}"
        )
    return torch.tensor(array.copy())  # PyTorch takes no array that runs backwards


def booleans(name: str, array: Any) -> torch.Tensor:
    """`array` (..., n_q, n_k) as a tensor of booleans. Numbers are refused, with what to do with them."""
    values = tensor(name, array)
    if values.dtype != torch.bool:
        raise TypeError(
            f"{name}: expected booleans, got {values.dtype}; {_advice(name, values)}"
        )
    if values.ndim < 2:
        raise ValueError(
            f"{name}: expected shape (..., n_q, n_k), got {tuple(values.shape)}"
        )
    return values


def yes_and_no(values: torch.Tensor) -> bool:
    """Whether there are no numbers but 0 and 1."""
    return bool(((values == 0) | (values == 1)).all())


def not_a_mask(name: str, bias: torch.Tensor) -> str | None:
    """Why no boolean mask says what the floats `bias` (..., n_q, n_k), added to the scores, say; None if one does."""
    values = bias.unique().tolist()
    others = [value for value in values if value != 0]
    if len(others) > 1 or not all(x <= -enough(bias.dtype) for x in others):
        return (
            f"{name}: expected 0 and one number that blocks, of at most −{math.ceil(enough(bias.dtype))} in "
            f"{bias.dtype}; got {listed(values)}"
        )
    if others and others[0] != -math.inf and not (bias == 0).any(dim=-1).all():
        return (
            f"{name}: a row holds nothing but {others[0]:.4g}, and with it reads every key instead of none; "
            f"expected −inf, or an allowed key in each row"
        )
    return None


def listed(numbers: list) -> str:
    """The first few numbers, in words."""
    more = " …" if len(numbers) > 4 else ""
    return ", ".join(f"{x:.4g}" for x in numbers[:4]) + more


def enough(dtype: torch.dtype) -> float:
    """The C from which on exp(−C) rounds to 0: less than half of the smallest positive number."""
    info = torch.finfo(dtype)
    return -math.log(info.tiny) - math.log(info.eps) + math.log(2)


def _advice(name: str, values: torch.Tensor) -> str:
    """What to do with numbers that are given for booleans. What it names takes them, or the numbers are at fault."""
    if yes_and_no(values):
        per_key = (
            "; if it has one number for each key, (batch, keys), from_attention_mask"
        )
        return f"if 1 stands for True, give {name} == 1{per_key if values.ndim == 2 else ''}"
    if values.is_floating_point() and values.ndim > 1 and not not_a_mask(name, values):
        return "if it is added to the scores, from_additive makes a mask of it"
    return (
        "its numbers say more than yes and no; if they are added to the scores, lib.adaptive.gated_attention takes "
        "the gate exp(bias − its largest number)"
    )
