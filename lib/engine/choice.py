"""What backend="auto" takes, and why: the public names are those of `lib.torch_attention`."""

import importlib.util
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from lib.engine.checks import check_booleans
from lib.masks import Mask, causal, full
from lib.readings import arguments
from lib.tiles import EMPTY

# Up to so many pairs, a mask written out as an array costs next to nothing.
SMALL = 2**20
# SDPA with an array computes all pairs; skipping pays where at most this share of the tiles is needed.
WORTH_SKIPPING = 0.5
# But an array of more pairs than these is not written down: 64 MiB, and SDPA makes it four times as large.
LARGE = 2**26


class Choice(NamedTuple):
    """A back end, and why it was chosen."""

    backend: str
    reason: str


def choose_backend(
    mask: Mask | torch.Tensor | None,
    n_q: int,
    n_k: int | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Choice:
    """What backend="auto" takes for this mask, these lengths, this device and dtype, and the reason.

    Raises TypeError for what is no mask, ValueError or TypeError for lengths that do not fit it.
    """
    n_q, n_k = arguments.lengths(n_q, n_k)
    if isinstance(mask, Mask):
        mask.first_query(n_q, n_k)
    elif mask is not None:
        check_booleans(mask)
    if mask is None or (isinstance(mask, Mask) and mask == full):
        return Choice(
            "sdpa", "every pair is allowed, so PyTorch's fused kernel needs no mask"
        )
    if not isinstance(mask, Mask):
        return Choice(
            "sdpa", "the mask is an array already, which PyTorch's fused kernel takes"
        )
    if mask == causal and n_q == n_k:
        return Choice("sdpa", "PyTorch's fused kernel knows the causal mask")
    if n_q * n_k <= SMALL:
        # Without the lengths: written out, they would be fixed for torch.compile.
        return Choice("sdpa", f"a mask of at most {SMALL:,} pairs is small as an array")
    share = _share_of_tiles(mask, n_q, n_k)
    reason = f"{share:.1%} of the tiles hold an allowed pair"
    if share > WORTH_SKIPPING and n_q * n_k <= LARGE:
        return Choice("sdpa", f"{reason}, too many for skipping to pay")
    on_gpu = torch.device(device).type == "cuda" and importlib.util.find_spec("triton")
    if on_gpu and _older(device):
        return Choice(
            "tiled",
            f"{reason}, and on this GPU FlexAttention's kernels may not find the fast memory that they need",
        )
    if on_gpu and dtype != torch.float64:  # which FlexAttention's kernels do not know
        return Choice(
            "flex",
            f"{reason}, and on this GPU FlexAttention is compiled to skip the others",
        )
    return Choice("tiled", f"{reason}, and the others are skipped")


def _older(device: torch.device | str) -> bool:
    """Whether this is a GPU from before Ampere (2020), such as Colab's T4: its multiprocessors share less memory."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability(device)[0] < 8


@lru_cache(maxsize=16)
def _share_of_tiles(mask: Mask, n_q: int, n_k: int) -> float:
    states = mask.tiles(n_q, n_k).states
    return np.count_nonzero(states != EMPTY) / states.size
