"""The loops of `lib/kernel.cpp`: compiled when they are first needed, and called for a layer of pieces.

A C compiler does what no batched matrix product can: scores live and die in the processor's first cache. Where
there is none, `lib.tiled` computes the same with PyTorch's operations.
"""

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from lib.pieces import Blocks, Layer
from lib.spans import Spans, spans_of

SOURCE = Path(__file__).with_name("kernel.cpp")
OPTIONS = ("-O3", "-march=native", "-std=gnu++17", "-fPIC", "-shared")
COMPILERS = ("c++", "g++", "clang++")
FEATURES = 256  # at most, as in kernel.cpp


class Work(ctypes.Structure):
    """`Work` of kernel.cpp. The arrays that it points to are kept with it."""

    _fields_ = [
        ("blocks", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("spans", ctypes.c_void_p),
        ("words", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("step", "d", "d_v")),
        ("scale", ctypes.c_float),
        ("merge", ctypes.c_int32),
    ]


def takes(layer: Layer, q: torch.Tensor, v: torch.Tensor) -> bool:
    """Can the compiled loops compute this layer?"""
    return (
        type(q) is torch.Tensor  # and nothing that stands for one, such as FakeTensor
        and q.device.type == "cpu"
        and q.dtype == torch.float32
        and 0 < max(q.shape[-1], v.shape[-1]) <= FEATURES
        and len(layer) > 0
        and isinstance(layer[0], Blocks)
        and not torch.compiler.is_compiling()
        and library() is not None
    )


def forward(layer, q, k, v, state, scale: float, *, first: bool) -> None:
    """`lib.batched.forward`. Threads share the heads, and the blocks of a head."""
    spans, call, group = spans_of(layer), library().forward, _group(q, k)
    shares = -(-torch.get_num_threads() // max(len(q), 1))
    tasks = []
    for head in range(len(q)):
        tensors = q[head], k[head // group], v[head // group], *(x[head] for x in state)
        for blocks in np.array_split(spans.blocks, shares):
            work = _work(spans, blocks, q, v, scale, first)
            tasks.append(partial(_run, call, work, tensors))
    _in_threads(tasks)


def backward(layer, q, k, v, state, g, to_q, to_k, to_v, scale: float, *, first: bool):
    """`lib.batched.backward`. Threads share the heads of the keys."""
    spans, call, group = spans_of(layer), library().backward, _group(q, k)
    work = _work(spans, spans.blocks, q, v, scale, first)

    def of_key_head(number: int) -> None:
        for head in range(number * group, (number + 1) * group):
            of_queries = (x[head] for x in (*state, g, to_q))
            tensors = (
                q[head],
                k[number],
                v[number],
                *of_queries,
                to_k[number],
                to_v[number],
            )
            _run(call, work, tensors)

    _in_threads([partial(of_key_head, number) for number in range(len(k))])


def _group(q, k) -> int:
    return len(q) // max(len(k), 1)


def _work(spans: Spans, blocks: np.ndarray, q, v, scale: float, first: bool) -> Work:
    return Work(
        *(blocks.ctypes.data, len(blocks), spans.spans.ctypes.data),
        *(spans.words.ctypes.data, spans.step, q.shape[-1], v.shape[-1]),
        *(scale / math.log(2), not first),
    )


def _run(
    call: Callable[..., None], work: Work, tensors: Iterable[torch.Tensor]
) -> None:
    call(ctypes.byref(work), *(ctypes.c_void_p(x.data_ptr()) for x in tensors))


def _in_threads(tasks: list[Callable[[], None]]) -> None:
    """Calls of C functions run side by side: Python's lock is open while they do."""
    threads = min(torch.get_num_threads(), len(tasks))
    if threads < 2:
        for task in tasks:
            task()
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled loops; None where there is no C compiler, or, with a warning, where it fails."""
    found = (path for name in COMPILERS if (path := shutil.which(name)))
    compiler = next(found, None)
    if compiler is None:
        return None
    try:
        return ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        warnings.warn(
            f"lib/kernel.cpp could not be compiled with {compiler}, so PyTorch's own operations take its place, which "
            f"are slower: {said}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _compiled(compiler: str) -> Path:
    """The compiled file in the user's cache, made if it is not there.

    Its name holds what it was made of: the source, the options and what the compiler says of this processor.
    """
    options = [compiler, *OPTIONS]
    processor = _output([*options, "-dM", "-E", "-x", "c++", os.devnull])
    made_of = f"{options} {processor} {SOURCE.read_text()}"
    name = f"kernel-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "masking-the-future" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            new = Path(folder, name)
            _output([*options, str(SOURCE), "-o", str(new), "-lm"])
            new.replace(path)  # at once, whoever else compiles it
    return path


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
