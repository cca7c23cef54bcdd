"""The loops of `lib/kernel.cpp`: compiled when they are first needed, and called for a layer of pieces.

A C++ compiler can do what batched matrix products cannot: no score ever leaves the processor's cache. Where there is
none, `lib.batched` computes the same. Like FlexAttention, this takes the compiler that `CXX` names, else `g++`.
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

import torch

from lib.pieces import Blocks, Layer
from lib.spans import spans_of

SOURCE = Path(__file__).with_name("kernel.cpp")
OPTIONS = ("-O3", "-march=native", "-std=gnu++17", "-fPIC", "-shared")
FOR_TYPE = {torch.float32: (), torch.float64: ("-DDOUBLE",)}
FEATURES = 256  # at most, as in kernel.cpp


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
    """Can the compiled loops compute this layer? They know float32 and float64 on the CPU, and no diagonals."""
    return (
        any(isinstance(piece, Blocks) for piece in layer[:1])
        and q.device.type == "cpu"
        and 0 < max(q.shape[-1], v.shape[-1]) <= FEATURES
        and library(q.dtype) is not None
    )


def forward(layer, q, k, v, state, scale: float, *, first: bool) -> None:
    """`lib.batched.forward`."""
    spans = spans_of(layer)
    _forward(*spans.tensors, q, k, v, *state, spans.step, scale, not first)


def backward(layer, q, k, v, state, g, to_q, to_k, to_v, scale: float, *, first: bool):
    """`lib.batched.backward`."""
    spans = spans_of(layer)
    tensors = (*spans.tensors, q, k, v, *state, g, to_q, to_k, to_v)
    _backward(*tensors, spans.step, scale, not first)


# Whatever traces a program of PyTorch's (torch.compile, torch.export, make_fx) must see these calls, of which it knows
# nothing otherwise. All tensors are contiguous: (heads, tokens, features).
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
    """Threads share the heads of the keys: blocks of queries add to the same keys."""
    call, group = library(q.dtype).backward, _group(q, k)
    work = _work(blocks, spans, words, q, v, step, scale, merge)

    def of_key_head(number: int) -> None:
        for head in range(number * group, (number + 1) * group):
            of_query = (x[head] for x in (mean, largest, total, g, to_q))
            of_key = to_k[number], to_v[number]
            _run(call, work, (q[head], k[number], v[number], *of_query, *of_key))

    _in_threads([partial(of_key_head, number) for number in range(len(k))])


def _group(q, k) -> int:
    return len(q) // max(len(k), 1)


def _work(blocks, spans, words, q, v, step: int, scale: float, merge: bool) -> Work:
    counted = blocks.data_ptr(), len(blocks), spans.data_ptr(), words.data_ptr()
    return Work(*counted, step, q.shape[-1], v.shape[-1], scale / math.log(2), merge)


def _run(call: Callable, work: Work, tensors: Iterable[torch.Tensor]) -> None:
    call(ctypes.byref(work), *(ctypes.c_void_p(x.data_ptr()) for x in tensors))


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


def compiler_name() -> str:
    """The C++ compiler that is asked for."""
    return os.environ.get("CXX", "g++")


def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled loops for numbers of this type; None without a compiler, or, with a warning, where it fails."""
    return _library(dtype) if dtype in FOR_TYPE else None


@lru_cache(maxsize=2)
def _library(dtype: torch.dtype) -> ctypes.CDLL | None:
    compiler = shutil.which(compiler_name())
    if compiler is None:
        return None
    try:
        return ctypes.CDLL(str(_compiled([compiler, *OPTIONS, *FOR_TYPE[dtype]])))
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        warnings.warn(
            f"{compiler} could not compile lib/kernel.cpp, so PyTorch's own operations take its place, which are "
            f"slower: {said}",
            RuntimeWarning,
            stacklevel=3,
        )
        return None


def _compiled(command: list[str]) -> Path:
    """The compiled file in the user's cache, made if it is not there.

    Its name tells of what it was made: the source, the options and what the compiler knows of this processor.
    """
    processor = _output([*command, "-dM", "-E", "-x", "c++", os.devnull])
    made_of = f"{command} {processor} {SOURCE.read_text()}"
    name = f"kernel-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "masking-the-future" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            new = Path(folder, name)
            _output([*command, str(SOURCE), "-o", str(new)])
            new.replace(path)  # at once, whoever else is compiling it
    return path


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
