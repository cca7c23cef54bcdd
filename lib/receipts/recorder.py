"""The recorder: measures the back ends of attention on this machine's GPU, or on its CPU, and writes a receipt.

    python -m lib receipts             what has been recorded
    python -m lib receipts --record    measure here, and add to it

On a GPU that takes some minutes, on a CPU one. Nothing else should run meanwhile. What a device has no room for is not
measured, and its row says so.
"""

import argparse
import ctypes
import gc
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask

from lib import flex
from lib.masks import Mask, causal, window
from lib.receipts.receipt import COMMAND, RECEIPTS, Receipt, Row, load, write
from lib.tiles import n_pairs
from lib.torch_attention import attention

Call = Callable[[], object]
# What is measured: lengths, window, heads, dtypes, and for how many bytes a method may ask.
CASES = {
    "cpu": ((2_048, 8_192), 256, 1, (torch.float32,), 2**32),
    "cuda": ((4_096, 32_768, 131_072), 1_024, 32, (torch.bfloat16, torch.float32), 2**35),
}  # fmt: skip
FEATURES = 64
ROUNDS = 3
PRODUCT = {
    "cpu": 1024,
    "cuda": 8192,
}  # rows of the matrices whose product sets the limit
STEPS = {"forward": 1, "forward and backward": 3.5}  # in forward passes (Dao 2023)


@dataclass(frozen=True)
class Method:
    """A call to measure, with the bytes that were made for it before; or why it is not measured."""

    call: Callable | None
    made: int = 0
    why: str = ""


def measure(
    kind: str,
    lengths: Sequence[int],
    size: int,
    heads: int,
    dtypes: Sequence[torch.dtype],
    room: int,
) -> Iterator[Row]:
    """A row for each method, length, dtype and step under ``causal & window(size)``, on the CPU or the GPU ("cuda").

    What would ask for more than `room` bytes is left out, and its row says so.
    """
    mask = causal & window(size)
    for n in lengths:
        for name, method in _masks(mask, n, kind).items():
            yield _measured((name, n, "bool", "mask"), method, kind, None)
        for dtype in dtypes:
            q, k, v = torch.randn(3, 1, heads, n, FEATURES, device=kind).to(dtype)
            operations = 4 * FEATURES * heads * n_pairs(mask, n)  # of the allowed pairs
            limit = operations / _rate(kind, dtype)
            for name, method in _methods(mask, q, room).items():
                for step, passes in STEPS.items():
                    row = (name, n, str(dtype).removeprefix("torch."), step)
                    yield _measured(row, _with(method, q, k, v, step), kind, passes * limit)  # fmt: skip


def _masks(mask: Mask, n: int, kind: str) -> dict[str, Method]:
    """Ways to make the mask of FlexAttention."""
    make = partial(create_block_mask, mask, None, None, n, n, device=kind)
    eager = Method(make)
    if 10 * n * n > 2**32:  # bytes, as Chapter 9 counts
        eager = Method(None, why="it builds n × n numbers first")
    return {
        "create_block_mask": eager,
        "create_block_mask, compiled": Method(partial(make, _compile=True)),
        "lib.flex.block_mask": Method(partial(flex.block_mask, mask, n, device=kind)),
    }


def _methods(mask: Mask, q: torch.Tensor, room: int) -> dict[str, Method]:
    """Ways to compute attention."""
    n, scores = q.shape[-2], q.shape[-3] * q.shape[-2] ** 2 * q.dtype.itemsize
    dense = Method(partial(attention, mask=mask, backend="dense"))
    if 4 * scores > room:
        dense = Method(
            None, why=f"its scores are {scores / 2**30:.0f} GiB, more than once"
        )
    array = Method(None, why=f"its mask is {n * n / 2**30:.0f} GiB")
    if n * n <= room:
        allowed = torch.from_numpy(mask.dense(n)).to(q.device)
        array = Method(
            partial(F.scaled_dot_product_attention, attn_mask=allowed), n * n
        )
    return {
        "dense": dense,
        "SDPA, mask as an array": array,
        "SDPA, is_causal": Method(partial(F.scaled_dot_product_attention, is_causal=True)),
        "tiled": Method(partial(attention, mask=mask, backend="tiled")),
        "FlexAttention": Method(partial(attention, mask=mask, backend="flex")),
    }  # fmt: skip


def _with(method: Method, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, step: str) -> Method:  # fmt: skip
    """The method on these inputs: its output alone, or the output and the gradients of its sum."""
    if method.call is None:
        return method
    if step == "forward":
        call = torch.no_grad()(partial(method.call, q, k, v))
        return Method(call, method.made)
    leaves = [x.detach().requires_grad_() for x in (q, k, v)]
    call = lambda: torch.autograd.grad(method.call(*leaves).sum(), leaves)  # noqa: E731
    return Method(call, method.made)


def _measured(row: tuple, method: Method, kind: str, limit: float | None) -> Row:
    if method.call is None:
        return Row(*row, None, None, limit, method.why)
    try:
        method.call()  # compiles, and loads what a first call loads
        seconds = _seconds(method.call, kind)
        peak = _peak(method.call, kind)
    except RuntimeError as problem:  # no compiler, no backward pass, no memory
        return Row(*row, None, None, limit, str(problem).splitlines()[0])
    return Row(*row, seconds, None if peak is None else peak + method.made, limit)


def _seconds(call: Call, kind: str) -> float:
    """The median: CPU seconds of this process, or, of a GPU, wall seconds until it is done."""
    clock, wait = time.process_time, lambda: None
    if kind == "cuda":
        clock, wait = time.perf_counter, torch.cuda.synchronize
    taken = []
    for _ in range(ROUNDS):
        wait()
        start = clock()
        call()
        wait()
        taken.append(clock() - start)
    return statistics.median(taken)


def _rate(kind: str, dtype: torch.dtype) -> float:
    """Operations a second in a product of two square matrices."""
    size = PRODUCT[kind]
    a, b = torch.randn(2, size, size, device=kind).to(dtype)
    torch.mm(a, b)
    return 2 * size**3 / _seconds(partial(torch.mm, a, b), kind)


def _peak(call: Call, kind: str) -> int | None:
    """Bytes at the peak of a call beyond those before it: of the GPU's memory, or of this process on Linux."""
    if kind == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak becomes the present
        before = _resident("VmRSS")
        call()
        return max(_resident("VmHWM") - before, 0)
    except (OSError, AttributeError):  # no Linux
        return None


def _resident(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def record(kind: str, **smaller) -> Receipt:
    """Measure on this machine; `smaller` replaces settings of `CASES`, arguments of `measure`."""
    names = ("lengths", "size", "heads", "dtypes", "room")
    settings = dict(zip(names, CASES[kind], strict=True)) | smaller
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = tuple(measure(kind, **settings))
    finally:
        torch.set_num_threads(threads)
    return Receipt(
        device=torch.cuda.get_device_name() if kind == "cuda" else _cpu(),
        kind=kind,
        driver=_driver() if kind == "cuda" else "",
        threads=1,
        torch=torch.__version__,
        date=date.today().isoformat(),
        command=COMMAND,
        window=settings["size"],
        heads=settings["heads"],
        features=FEATURES,
        rows=rows,
    )


def _driver() -> str:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    return done.stdout.split()[0]


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m lib receipts``."""
    parser.add_argument(
        "--record",
        action="store_true",
        help="measure on this machine's GPU, or on its CPU if it has none, and add the receipt to the file",
    )
    parser.add_argument(
        "--file",
        type=Path,
        default=RECEIPTS,
        help="where the receipts stand; the package's own by default",
    )
    parser.add_argument(
        "--length",
        type=int,
        help="of so many tokens alone, to see whether everything runs",
    )


def main(arguments: argparse.Namespace) -> int:
    """Print the receipts, after recording one if asked to; 0, or 2 for a file that is not as it was written."""
    try:
        receipts = load(arguments.file) if arguments.file.exists() else ()
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    if arguments.record:
        smaller = {"lengths": (arguments.length,)} if arguments.length else {}
        new = record("cuda" if torch.cuda.is_available() else "cpu", **smaller)
        receipts = (*(r for r in receipts if r.device != new.device), new)
        write(receipts, arguments.file)
    for receipt in receipts:
        print(receipt)
        for row in receipt.rows:
            print("   ", _line(row))
    return 0


def _line(row: Row) -> str:
    name = f"{row.step:21} {row.method:28} n = {row.n:<8,} {row.dtype:9}"
    if row.seconds is None:
        return f"{name} {row.why}"
    times = "" if row.limit is None else f" {row.seconds / row.limit:8.1f} × limit"
    peak = "" if row.peak is None else f" {row.peak / 2**20:8.0f} MiB"
    return f"{name} {row.seconds:9.4f} s{times}{peak}"
