"""A sliding window over several devices: each holds a shard of the tokens and fetches the few keys before it.

Processes of one machine stand in for the devices; they talk through `torch.distributed` with its back end for CPUs,
gloo, and find each other by a file, so that no port is opened (Chapter 9, "Two devices"). A worker that is defined in
a notebook dies, since a new process cannot import it from there; so it lives here, started as ``python -m lib.halo``.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from lib.masks import causal, window
from lib.numpy_attention import tiled_attention
from lib.readings import arguments, shapes

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 100  # that all processes together may take; a few are usual
PAUSE = 0.05  # seconds between two looks at who has finished


@dataclass(frozen=True, eq=False)
class Sharded:
    """What the processes computed: `output` (..., n, d_v), and how many bytes each of them sent to the next."""

    output: np.ndarray
    sent: tuple[int, ...]


def attend_in_shards(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    size: int,
    *,
    processes: int = 2,
    seconds: float = SECONDS,
) -> Sharded:
    """Attention under ``causal & window(size)`` by that many processes, each with a shard of the n tokens.

    q and k are (..., n, d), v is (..., n, d_v). A process is given its own shard alone; the `size` − 1 keys and values
    before it, its halo, it receives from the process before. ValueError where a shard is shorter than the halo of the
    next one; RuntimeError where a process fails, with what it said; TimeoutError after `seconds`.
    """
    size = arguments.integer("size", size, at_least=1)
    processes = arguments.integer("processes", processes, at_least=1)
    shapes.check_queries_and_keys(q.shape, k.shape)
    shapes.check_values(q.shape, k.shape, v.shape)
    shards = [np.array_split(x, processes, axis=-2) for x in (q, k, v)]
    if q.shape[-2] != k.shape[-2]:
        raise ValueError(
            f"q and k: expected the same tokens in both, got {q.shape[-2]} queries and {k.shape[-2]} keys"
        )
    shortest = min(shard.shape[-2] for shard in shards[1])
    if shortest < max(size - 1, 1):
        raise ValueError(
            f"processes: a shard must hold the {max(size - 1, 1)} keys that the next one asks for; with {processes} "
            f"processes the shortest has {shortest}. Take fewer processes, a smaller window or more tokens"
        )
    with tempfile.TemporaryDirectory() as folder:
        for rank, (queries, keys, values) in enumerate(zip(*shards, strict=True)):
            shard = {"q": queries, "k": keys, "v": values}
            np.savez(Path(folder, f"shard-{rank}.npz"), **shard)
        worker = [sys.executable, "-m", "lib.halo", folder]
        told = [(str(r), str(processes), str(size), str(seconds)) for r in range(processes)]  # fmt: skip
        said = _run_together([[*worker, *one] for one in told], seconds)
        outputs = [np.load(Path(folder, f"output-{r}.npy")) for r in range(processes)]
    sent = tuple(json.loads(text)["sent"] for text in said)
    return Sharded(np.concatenate(outputs, axis=-2), sent)


def _run_together(commands: Sequence[list[str]], seconds: float) -> list[str]:
    """What each command prints. All run at the same time; when one fails or time is up, the others are stopped."""
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME") or _loopback(),
        "OMP_NUM_THREADS": "1",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    end = time.monotonic() + seconds
    running = [subprocess.Popen(one, env=environment, **pipes) for one in commands]
    try:
        while any(process.poll() is None for process in running):
            if any(process.poll() for process in running):
                break  # one has failed, and the others wait for it in vain
            if time.monotonic() > end:
                raise TimeoutError(
                    f"seconds: the processes were stopped after {seconds:g} seconds; give more, or run it where less "
                    f"else is running"
                )
            time.sleep(PAUSE)
        failed = [rank for rank, process in enumerate(running) if process.poll()]
        if failed:
            said = running[failed[0]].stderr.read().strip().splitlines() or ["nothing"]
            raise RuntimeError(
                f"process {failed[0]} of {len(running)} failed, and the others were stopped; it said: {said[-1]}"
            )
        return [process.stdout.read() for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _loopback() -> str:
    """The network interface of this machine to itself, "" if it has another name.

    Without it gloo asks for the address of the machine's own name, which many containers do not have.
    """
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in ("lo", "lo0") if name in names), "")


def work(folder: Path, rank: int, processes: int, size: int, seconds: float) -> int:
    """What one process does; the bytes that it has sent. It reads and writes files of its own rank in `folder`."""
    import torch.distributed as dist  # here: who only starts the processes need not load it

    if not (dist.is_available() and dist.is_gloo_available()):
        raise SystemExit("this build of PyTorch has no torch.distributed with gloo")
    dist.init_process_group(
        "gloo",
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=seconds),
    )
    with np.load(folder / f"shard-{rank}.npz") as shard:
        q, k, v = shard["q"], shard["k"], shard["v"]
    k, of_keys = _with_halo(k, size - 1)
    v, of_values = _with_halo(v, size - 1)
    # The queries are the last positions among these keys: that is where they stand.
    output = tiled_attention(q, k, v, causal & window(size))
    np.save(folder / f"output-{rank}.npy", output)
    dist.barrier()  # who leaves first would take the connection along
    dist.destroy_process_group()
    return of_keys + of_values


def _with_halo(x: np.ndarray, halo: int) -> tuple[np.ndarray, int]:
    """The shard x (..., tokens, features) behind the `halo` rows before it, and the bytes sent to the next process."""
    import torch
    import torch.distributed as dist

    rank, processes = dist.get_rank(), dist.get_world_size()
    last = torch.from_numpy(x[..., x.shape[-2] - halo :, :]).contiguous()
    sending = halo and rank + 1 < processes and dist.isend(last, rank + 1)
    if halo and rank:
        before = torch.empty_like(last)
        dist.recv(before, rank - 1)
        x = np.concatenate([before.numpy(), x], axis=-2)
    if not sending:
        return x, 0
    sending.wait()
    return x, last.nbytes


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lib.halo",
        description="A worker of lib.halo.attend_in_shards, which starts it.",
    )
    for name in ("folder", "rank", "processes", "size", "seconds"):
        kind = {"folder": Path, "seconds": float}.get(name, int)
        parser.add_argument(name, type=kind)
    print(json.dumps({"sent": work(**vars(parser.parse_args()))}))


if __name__ == "__main__":
    main()
