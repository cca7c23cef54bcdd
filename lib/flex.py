"""FlexAttention with a BlockMask made from a mask's tile map (Dong et al. 2024; Chapter 9).

PyTorch's own `create_block_mask` asks about all n × n pairs; `block_mask` reads the rule on intervals instead
and stays with one number for each tile.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from lib.engine.compiler import compiler_name
from lib.masks import Mask
from lib.tiles import FULL, PARTIAL, tile_map

BLOCK = 128  # what FlexAttention's kernels are tuned for
# Dynamo compiles one function for so many masks and shapes; beyond, this raises instead of running slowly.
MOST_COMPILATIONS = 256
ADVICE = "use backend='tiled', which computes the same"


def block_mask(
    mask: Mask, n_q: int, n_k: int | None = None, device: torch.device | str = "cpu"
) -> BlockMask:
    """The mask for `flex_attention(…, block_mask=…)`: `n_q` queries that are the last of `n_k` positions.

    Raises TypeError for what is no mask, ValueError or TypeError for lengths that do not fit it, as
    `Mask.dense` does.
    """
    tiles = tile_map(mask, n_q, n_k, BLOCK)
    # A mask's tables become tensors here: while the compiler traces, it would be too late.
    i = torch.tensor([mask.first_query(tiles.n_q, tiles.n_k)], device=device)
    mask.read(i, torch.zeros_like(i))
    states = tiles.states.reshape(-1, 1, *tiles.states.shape[-2:]).copy()
    # A tile that reaches beyond the last token is asked about pair by pair.
    if tiles.n_q % BLOCK:
        states[..., -1, :] = np.minimum(states[..., -1, :], PARTIAL)
    if tiles.n_k % BLOCK:
        states[..., -1] = np.minimum(states[..., -1], PARTIAL)
    blocks = [
        torch.as_tensor(numbers, dtype=torch.int32, device=device)
        for state in (PARTIAL, FULL)
        for numbers in _listed(states == state)
    ]
    return BlockMask.from_kv_blocks(
        *blocks,
        BLOCK_SIZE=BLOCK,
        mask_mod=mask.shift(max(tiles.n_k - tiles.n_q, 0)),
        seq_lengths=(tiles.n_q, tiles.n_k),
    )


def _listed(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many tiles of each row are chosen, and their numbers, chosen ones first."""
    return chosen.sum(axis=-1), np.argsort(~chosen, axis=-1, kind="stable")


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, scale: float
) -> torch.Tensor:
    """The output (rows, heads, n_q, d_v) for `lib.engine.heads.Rows`, by compiled FlexAttention.

    Raises RuntimeError where FlexAttention cannot run, with the back end to use instead. The first call with
    a mask or a shape compiles for some seconds.
    """
    _check_can_run(q, k, v)
    if not torch.is_grad_enabled():
        # Compiled for the CPU, FlexAttention refuses tensors that could need a gradient at another time.
        q, k, v = q.detach(), k.detach(), v.detach()
    blocks = _cached_block_mask(mask, q.shape[-2], k.shape[-2], q.device)
    with (
        _small_gpus_refuse(),
        torch._dynamo.config.patch(
            recompile_limit=MOST_COMPILATIONS, fail_on_recompile_limit_hit=True
        ),
    ):
        return _compiled()(
            q, k, v, block_mask=blocks, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )


@contextmanager
def _small_gpus_refuse() -> Iterator[None]:
    """Of a GPU whose multiprocessors share too little memory for the kernel, say what to use instead."""
    try:
        yield
    except Exception as problem:  # not every exception of Triton is a RuntimeError
        if "out of resource" not in str(problem):
            raise
        raise RuntimeError(
            f"backend 'flex': FlexAttention's kernel needs more fast memory than this GPU has; {ADVICE}"
        ) from problem


@lru_cache(maxsize=16)
def _cached_block_mask(mask: Mask, n_q: int, n_k: int, device: torch.device):
    return block_mask(mask, n_q, n_k, device)


@lru_cache(maxsize=1)
def _compiled():
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


def _check_can_run(*tensors: torch.Tensor) -> None:
    if tensors[0].dtype == torch.float64:
        raise RuntimeError(
            f"backend 'flex': FlexAttention's kernels know float32 and half precision, got torch.float64; {ADVICE}"
        )
    kind = tensors[0].device.type
    if kind == "cuda":
        return
    if kind != "cpu":
        raise RuntimeError(
            f"backend 'flex': lib compiles FlexAttention for CUDA and for CPUs, got the device {kind!r}; {ADVICE}"
        )
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        raise RuntimeError(
            f"backend 'flex': FlexAttention has no backward pass on the CPU, and q, k or v requires a gradient; "
            f"{ADVICE}, or call it under torch.no_grad()"
        )
    if shutil.which(compiler_name()) is None:
        raise RuntimeError(
            f"backend 'flex': on the CPU FlexAttention is compiled with a C++ compiler, and {compiler_name()} was not "
            f"found; {ADVICE}"
        )
