"""Who takes part. Each method is made ready for one problem and returns a function that computes it once.

What a caller would prepare once, such as a mask as an array or a BlockMask, is prepared outside of the
measured call. `Unavailable` says why a method cannot take part; its row of the table says so too.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from cases import WINDOW, Case, Tensors

from lib.engine import cutting
from lib.masks import Mask, causal
from lib.numpy_attention import tiled_attention
from lib.torch_attention import attention

Call = Callable[[], Any]


class Unavailable(Exception):
    """Why a method cannot take part in a case."""


@dataclass(frozen=True)
class Method:
    """`prepare(case, inputs, mask)` gives the call. `mask`: what it computes, where that is not the case's mask."""

    name: str
    prepare: Callable[[Case, Tensors, Mask], Call]
    mask: Mask | None = None
    compiled: bool = False


def of_course(backend: str, case: Case, inputs: Tensors, mask: Mask) -> Call:
    return lambda: attention(*inputs, mask, backend=backend)


def first_call(case: Case, inputs: Tensors, mask: Mask) -> Call:
    """What a mask costs that was never met before: it is chosen, if it is, and its plan is made anew."""

    def call():
        cutting.plan.cache_clear()
        met = case.mask_for(*inputs[:2])
        return attention(*inputs, met, backend="tiled")

    return call


def numpy_tiled(case: Case, inputs: Tensors, mask: Mask) -> Call:
    arrays = [x.numpy() for x in inputs]
    return lambda: torch.from_numpy(tiled_attention(*arrays, mask))


def naive(case: Case, inputs: Tensors, mask: Mask) -> Call:
    """All weights, one head after the other: together they would need four times the memory."""
    forbidden = ~torch.from_numpy(mask.dense(case.n))

    def of_head(q, k, v):
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill_(forbidden, -math.inf)
        return scores.softmax(dim=-1) @ v

    heads = [
        x.flatten(0, 1) for x in inputs
    ]  # the cases that it is part of have one mask
    return lambda: torch.stack(
        [of_head(*head) for head in zip(*heads, strict=True)]
    ).view_as(inputs[0])


def sdpa_mask(case: Case, inputs: Tensors, mask: Mask) -> Call:
    allowed = torch.from_numpy(mask.dense(case.n))
    allowed = allowed if mask.batch is None else allowed[:, None]
    return lambda: F.scaled_dot_product_attention(*inputs, attn_mask=allowed)


def sdpa_causal(case: Case, inputs: Tensors, mask: Mask) -> Call:
    return lambda: F.scaled_dot_product_attention(*inputs, is_causal=True)


def flex(case: Case, inputs: Tensors, mask: Mask) -> Call:
    """Compiled FlexAttention with the BlockMask of `lib.flex`, without gradients, which it lacks on the CPU."""
    _needs_no_backward(case)
    return of_course("flex", case, _detached(inputs), mask)


def attn_gym(case: Case, inputs: Tensors, mask: Mask) -> Call:
    """attention-gym's own window, for FlexAttention; its `window_size` leaves the query itself out."""
    _needs_no_backward(case)
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    masks = _package("attn_gym.masks", "attn-gym")
    rule = masks.generate_sliding_window(WINDOW - 1)
    blocks = create_block_mask(
        rule, None, None, case.n, case.n, device="cpu", _compile=True
    )
    compiled = torch.compile(flex_attention, dynamic=False, fullgraph=True)
    inputs = _detached(inputs)
    return lambda: compiled(*inputs, block_mask=blocks)


def local_attention(case: Case, inputs: Tensors, mask: Mask) -> Call:
    """`exact_windowsize` allows distances up to window_size · look_backward, so 3 · 85 are 256 keys.

    255 can be written in other ways as such a product; they were not compared.
    """
    package = _package("local_attention", "local-attention")
    module = package.LocalAttention(
        window_size=(WINDOW - 1) // 3,
        look_backward=3,
        causal=True,
        exact_windowsize=True,
        autopad=True,
        use_rotary_pos_emb=False,
    )
    return lambda: module(*inputs)


def tile_map(case: Case, inputs: Tensors, mask: Mask) -> Call:
    return lambda: mask.tiles(case.n, size=128)


def create_block_mask(compiled: bool, case: Case, inputs: Tensors, mask: Mask) -> Call:
    from torch.nn.attention.flex_attention import create_block_mask

    return lambda: create_block_mask(
        mask, None, None, case.n, case.n, device="cpu", _compile=compiled
    )


METHODS = {
    "tiled": Method("lib, tiled", partial(of_course, "tiled")),
    "first call": Method("lib, tiled, mask never met before", first_call),
    "auto": Method("lib, auto", partial(of_course, "auto")),
    "numpy tiled": Method("lib, NumPy tiled", numpy_tiled),
    "flex": Method("FlexAttention, compiled", flex, compiled=True),
    "attn-gym": Method("attn-gym's window, compiled", attn_gym, compiled=True),
    "local-attention": Method("local-attention", local_attention),
    "sdpa is_causal": Method("SDPA is_causal (all causal pairs)", sdpa_causal, causal),
    "sdpa mask": Method("SDPA with a dense mask", sdpa_mask),
    "naive": Method("naive, a head at a time", naive),
    "tile map": Method("lib, tile map", tile_map),
    "create_block_mask compiled": Method(
        "create_block_mask, compiled", partial(create_block_mask, True), compiled=True
    ),
    "create_block_mask eager": Method(
        "create_block_mask, eager", partial(create_block_mask, False)
    ),
}


def _package(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise Unavailable(f"{distribution} is not installed ({missing})") from missing


def _needs_no_backward(case: Case) -> None:
    if case.kind == "backward":
        raise Unavailable("FlexAttention has no backward pass on the CPU")


def _detached(inputs: Tensors) -> Tensors:
    """FlexAttention on the CPU refuses inputs that require a gradient, under torch.no_grad() too."""
    return tuple(x.detach() for x in inputs)
