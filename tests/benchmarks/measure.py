"""The worker: a process that measures what it is told to, and prints what it found as JSON.

``run.py`` starts it with a list of tasks, usually one: {"job": "time", "case": …} for all methods of a case in turn,
{"job": "memory", "case": …, "method": …} for one call of one method, {"job": "scaling", "case": …, "lengths": …}.
"""

import ctypes
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from cases import CASES, SCALING, Case
from exactness import attention_error, upstream
from peers import METHODS, Call, Unavailable

from lib.tiles import EMPTY, TileMap

ALL = {case.key: case for case in CASES + SCALING}
# A method that has used up so many seconds is left out of the remaining rounds.
PATIENCE = 10
PRODUCT = 1024  # rows and columns of the matrices whose product sets the limit
SMALL_N = 2048  # of the call before the one whose memory is measured


def timing(case: Case, threads: int, rounds: int) -> dict:
    """Check every method, then call them in turn, round after round; medians in seconds.

    With one thread seconds of the process's CPU time, with more of wall time. A product of matrices takes its
    turn among them: its rate turns the operations of the allowed pairs into the limit.
    """
    inputs, mask = case.inputs()
    calls, results = {}, {}
    for name in case.methods:
        try:
            calls[name] = as_step(case, name, inputs, mask)
            results[name] = judged(case, name, inputs, mask, calls[name])
        except Unavailable as reason:
            results[name] = {"unavailable": str(reason)}
    a, b = torch.randn(2, PRODUCT, PRODUCT)
    seconds = in_turn(
        calls | {"torch.mm": lambda: torch.mm(a, b)},
        rounds,
        time.process_time if threads == 1 else time.perf_counter,
    )
    for name in calls:
        results[name]["seconds"] = statistics.median(seconds[name])
        results[name]["runs"] = len(seconds[name])
    rate = 2 * PRODUCT**3 / statistics.median(seconds["torch.mm"])
    operations = None if case.kind == "map" else case.operations(mask)
    return {"methods": results, "rate": rate, "operations": operations}


def scaling(case: Case, lengths: list[int], rounds: int) -> list[dict]:
    """The course's own method at several lengths, which take turns; CPU seconds, checked like any other.

    `handing_out`: the seconds in which memory for an output is handed out. From 32 MiB on, the C library gives it back
    to the system after each call, and the system hands it out anew, page by page.
    """
    [name] = case.methods
    calls, results = {}, []
    for n in lengths:
        of_length = replace(case, n=n)
        inputs, mask = of_length.inputs()
        calls["seconds", n] = call = as_step(of_length, name, inputs, mask)
        calls["handing_out", n] = partial(touch_pages, inputs[0])
        found = judged(of_length, name, inputs, mask, call)
        results.append({"n": n, "operations": of_length.operations(mask), **found})
    seconds = in_turn(calls, rounds, time.process_time)
    for result in results:
        for kind in ("seconds", "handing_out"):
            result[kind] = statistics.median(seconds[kind, result["n"]])
    return results


def touch_pages(like: torch.Tensor) -> None:
    """Get memory for such a tensor, and write one number into each page of 4 KiB."""
    torch.empty_like(like).view(-1)[:: 4096 // like.element_size()].zero_()


def in_turn(calls: dict[str, Call], rounds: int, clock: Callable[[], float]) -> dict:
    """Seconds of each call in each round; whoever is slow stops early."""
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            if sum(seconds[name]) < PATIENCE:
                start = clock()
                call()
                seconds[name].append(clock() - start)
    return seconds


def as_step(case: Case, name: str, inputs, mask) -> Call:
    """The method's call; in a backward case with the backward pass: (output, gradients of q, k, v)."""
    if METHODS[name].compiled and not case.compiles:
        raise Unavailable("not compiled in a quick run")
    call = METHODS[name].prepare(case, inputs, mask)
    if case.kind != "backward":
        return call
    g = upstream(inputs[0])

    def both():
        output = call()
        return output.detach(), *torch.autograd.grad(output, inputs, g)

    return both


def judged(case: Case, name: str, inputs, mask, call: Call) -> dict:
    """Error and limit of the method's result; of a map, how many tiles differ from the mask's rule."""
    result = call()
    if case.kind == "map":
        return {"error": wrong_tiles(case, mask, result), "limit": 0}
    results = result if case.kind == "backward" else (result.detach(),)
    own = METHODS[name].mask
    computed = mask if own is None else own
    error, limit = attention_error(case, inputs, computed, results)
    return {"error": error, "limit": limit}


def wrong_tiles(case: Case, mask, result) -> int:
    """In a few rows of tiles: those called empty with an allowed pair, and the other way round."""
    is_map = isinstance(
        result, TileMap
    )  # else a BlockMask, whose batch and heads are 1
    needed = result.states != EMPTY if is_map else result.to_dense()[0, 0].numpy() > 0
    wrong = 0
    for row in {0, 1, len(needed) // 2, len(needed) - 1}:
        i = np.arange(128 * row, min(128 * (row + 1), case.n))[:, None]
        read = mask.read(i, np.arange(case.n)[None]).any(axis=0)
        wrong += np.count_nonzero(
            needed[row] != np.logical_or.reduceat(read, np.arange(0, case.n, 128))
        )
    return int(wrong)


def memory(case: Case, name: str) -> dict:
    """By how many bytes one call makes the process grow at its peak, and how large the process is then.

    A call at 2,048 tokens comes first, and loads what a first call loads. A compiled method is compiled for one
    length, so for these it is a call at full length, whose memory is given back to the system. Then the peak
    of the resident memory is reset, and read again after the call.
    """
    try:
        inputs, mask = case.inputs()
        call = as_step(case, name, inputs, mask)
        if METHODS[name].compiled:
            call()
        else:
            small = replace(case, n=min(case.n, SMALL_N))
            few, mask_of_few = small.inputs()
            as_step(small, name, few, mask_of_few)()
    except Unavailable as reason:
        return {"unavailable": str(reason)}
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes the present
    before = resident("VmRSS")
    result = call()
    peak = resident("VmHWM")
    del result
    return {"growth": peak - before, "resident": peak}


def resident(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")


def main(task: dict) -> dict | list:
    case = ALL[task["case"]]
    case = replace(case, n=task.get("n", case.n), compiles=not task.get("quick"))
    torch.set_num_threads(task["threads"])
    if task["job"] == "memory":
        return memory(case, task["method"])
    if task["job"] == "scaling":
        return scaling(case, task["lengths"], task["rounds"])
    return timing(case, task["threads"], task["rounds"])


if __name__ == "__main__":
    print(json.dumps([main(task) for task in json.loads(sys.argv[1])]))
