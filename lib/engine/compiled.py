"""The compiled loops of `lib/engine/kernel.cpp`, called for a layer of pieces.

A C++ compiler can do what batched matrix products cannot: no score ever leaves the processor's cache. Where
`lib.engine.compiler` finds none, `lib.engine.batched` computes the same.
"""

import ctypes
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import torch

from lib.engine.compiler import FEATURES, library
from lib.engine.pieces import Blocks, Layer
from lib.engine.spans import spans_of

# Parts of a layer whose backward passes may run side by side. Their number decides in which order gradients are summed.
PARTS = 16


class Work(ctypes.Structure):
    """`Work` of kernel.cpp."""

    _fields_ = [
        ("blocks", ctypes.c_void_p),
        ("n_blocks", ctypes.c_int64),
        ("spans", ctypes.c_void_p),
        ("words", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("step", "d", "d_v")),
        ("scale", ctypes.c_double),
        ("merge", ctypes.c_int32),
    ]


def takes(layer: Layer, q: torch.Tensor, v: torch.Tensor) -> bool:
    """Can the compiled loops compute this layer? They know float32 and float64 on the CPU, and no diagonals.

    The first time, this compiles them, which takes a second or two; the result is kept (`lib.engine.compiler`).
    """
    return (
        any(isinstance(piece, Blocks) for piece in layer[:1])
        and q.device.type == "cpu"
        and 0 < max(q.shape[-1], v.shape[-1]) <= FEATURES
        and library(q.dtype) is not None
    )


def forward(layer, q, k, v, state, scale: float, *, first: bool) -> None:
    """`lib.engine.batched.forward`."""
    tensors = (*_spans(layer), q, k, v, *state)
    _forward(*tensors, spans_of(layer).step, scale, not first)


def backward(layer, q, k, v, state, g, to_q, to_k, to_v, scale: float, *, first: bool):
    """`lib.engine.batched.backward`."""
    tensors = (*_spans(layer), q, k, v, *state, g, to_q, to_k, to_v)
    _backward(*tensors, spans_of(layer).step, scale, not first)


def _spans(layer: Layer) -> Iterator[torch.Tensor]:
    spans = spans_of(layer)
    return (torch.from_numpy(x) for x in (spans.blocks, spans.spans, spans.words))


# What traces a program of PyTorch's, such as torch.compile and torch.export, sees operations only: as plain calls,
# these would be missing from what it makes. All tensors are contiguous: (heads, tokens, features).
operation = partial(torch.library.custom_op, device_types="cpu")


@operation("masking_the_future::forward", mutates_args=("mean", "largest", "total"))
def _forward(
    blocks: torch.Tensor, spans: torch.Tensor, words: torch.Tensor,
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
    mean: torch.Tensor, largest: torch.Tensor, total: torch.Tensor,
    step: int, scale: float, merge: bool,
) -> None:  # fmt: skip
    """Threads share the heads, and the blocks of a head."""
    call, group = library(q.dtype).forward, _group(q, k)
    shares = -(-torch.get_num_threads() // max(len(q), 1))
    tasks = []
    for head in range(len(q)):
        tensors = (q[head], k[head // group], v[head // group], mean[head], largest[head], total[head])  # fmt: skip
        for some in blocks.tensor_split(shares):
            work = _work(some, spans, words, q, v, step, scale, merge)
            tasks.append(partial(_run, call, work, tensors))
    _in_threads(tasks)


@operation("masking_the_future::backward", mutates_args=("to_q", "to_k", "to_v"))
def _backward(
    blocks: torch.Tensor, spans: torch.Tensor, words: torch.Tensor,
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
    mean: torch.Tensor, largest: torch.Tensor, total: torch.Tensor,
    g: torch.Tensor, to_q: torch.Tensor, to_k: torch.Tensor, to_v: torch.Tensor,
    step: int, scale: float, merge: bool,
) -> None:  # fmt: skip
    """Threads share the heads of the keys, and parts of the blocks as long as no two add to the same keys."""
    call, group = library(q.dtype).backward, _group(q, k)

    def of_key_head(part: torch.Tensor, number: int) -> None:
        work = _work(part, spans, words, q, v, step, scale, merge)
        for head in range(number * group, (number + 1) * group):
            of_query = (x[head] for x in (mean, largest, total, g, to_q))
            of_key = to_k[number], to_v[number]
            _run(call, work, (q[head], k[number], v[number], *of_query, *of_key))

    for parts in _side_by_side(blocks, spans, step):
        pairs = product(parts, range(len(k)))
        _in_threads([partial(of_key_head, *pair) for pair in pairs])


def _side_by_side(blocks, spans, step: int) -> list[list[torch.Tensor]]:
    """The blocks in groups of parts, one after the other; the parts of a group read different keys.

    Neighbouring parts of a band share keys, the next but one do not. Where they do, as with a sink, all is one part.
    """
    parts = [part for part in blocks.tensor_split(PARTS) if len(part)]
    rows = []
    for part in parts:
        read = spans[part[0, 2] : part[-1, 3]]
        rows.append((read[:, 0].min(), (read[:, 0] + read[:, 1] * step).max()))
    if all(one[1] <= other[0] for one, other in zip(rows, rows[2:], strict=False)):
        return [parts[::2], parts[1::2]]
    return [[blocks]]


def _group(q, k) -> int:
    return len(q) // max(len(k), 1)


def _work(blocks, spans, words, q, v, step: int, scale: float, merge: bool) -> Work:
    counted = blocks.data_ptr(), len(blocks), spans.data_ptr(), words.data_ptr()
    return Work(*counted, step, q.shape[-1], v.shape[-1], scale / math.log(2), merge)


def _run(call: Callable, work: Work, tensors: Iterable[torch.Tensor]) -> None:
    call(ctypes.byref(work), *(x.data_ptr() for x in tensors))


def _in_threads(tasks: list[Callable[[], None]]) -> None:
    """Calls of compiled functions run side by side: Python waits for none of them."""
    threads = min(torch.get_num_threads(), len(tasks))
    if threads < 2:
        for task in tasks:
            task()
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()
