"""The benchmarks: ``make bench`` runs this. It measures, checks and writes a page, the numbers and a picture.

Each part runs in a process of its own (`measure.py`); nothing else should run on the machine meanwhile.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cases import CASES, SCALING, SCALING_N, Case
from environment import ROOT, python_with_peers
from report import machine, write

WORKER = Path(__file__).with_name("measure.py")
ROUNDS = 15
QUICK_N, QUICK_LENGTHS = 640, (256, 512, 1024)


def main() -> int:
    """0 if every result was right."""
    options = parsed()
    python = Path(sys.executable) if options.quick else python_with_peers()
    names = options.only or [case.key for case in CASES] + ["scaling"]
    cases = [case for case in CASES if case.key in names]
    tasks = [task for case in cases for task in tasks_of(case, options)]
    if "scaling" in names:
        tasks += [task for case in SCALING for task in scaling_tasks(case, options)]
    about = machine(python) | {"date": options.date, "quick": options.quick}
    results, faults = [], []
    # A quick run measures all in one process, which is no fresh one after the first task.
    batches = [tasks] if options.quick else [[task] for task in tasks]
    with tempfile.TemporaryDirectory() as compiled:
        for batch in batches:
            progress(len(results), len(tasks), batch[0])
            results += measured(python, batch, compiled)
            # After each part, so that what is measured is kept if a later one fails.
            faults = write(options.out, {"about": about, "measured": results})
    progress(len(tasks), len(tasks), {})
    print(f"Written to {options.out}")
    for fault in faults:
        print(f"WRONG RESULT: {fault}")
    return 1 if faults else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "_build" / "benchmarks",
        help="folder for benchmarks.md, benchmarks.json and scaling.png",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[case.key for case in CASES] + ["scaling"],
        help="these parts alone",
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how often each method is called"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few hundred tokens, one thread, one process, nothing installed: does everything run?",
    )
    parser.add_argument(
        "--date",
        default=datetime.now(UTC).date().isoformat(),
        help="what the page says about when it was measured; today by default",
    )
    return parser.parse_args()


def tasks_of(case: Case, options: argparse.Namespace) -> Iterator[dict]:
    """Times with one thread and with two, then the memory of each method in a fresh process."""
    task = {"case": case.key}
    if options.quick:
        task |= {"quick": True, "n": QUICK_N}
    for threads in (1,) if options.quick else (1, 2):
        yield task | {"job": "time", "threads": threads, "rounds": options.rounds}
    for method in case.methods:
        yield task | {"job": "memory", "threads": 1, "method": method}


def scaling_tasks(case: Case, options: argparse.Namespace) -> Iterator[dict]:
    task = {"case": case.key, "threads": 1}
    lengths = QUICK_LENGTHS if options.quick else SCALING_N
    yield task | {"job": "scaling", "lengths": lengths, "rounds": options.rounds}
    for n in lengths:
        yield task | {"job": "memory", "method": case.methods[0], "n": n}


def measured(python: Path, tasks: list[dict], compiled: str) -> list[dict]:
    """The tasks with their results. Their number of threads is settled before the worker loads anything.

    `compiled`: a folder for compiled code, which is made for that number of threads too.
    """
    threads = str(tasks[0]["threads"])
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    settings = dict.fromkeys(names, threads)
    settings["TORCHINDUCTOR_CACHE_DIR"] = f"{compiled}/{threads}"
    done = subprocess.run(
        [python, WORKER, json.dumps(tasks)],
        capture_output=True,
        text=True,
        env=os.environ | settings,
    )
    if done.returncode == -signal.SIGKILL and tasks[0]["job"] == "memory":
        stopped = {"unavailable": "stopped by the system: not enough memory"}
        return [task | {"result": stopped} for task in tasks]
    if done.returncode:
        raise RuntimeError(f"{tasks[0]}: the worker failed\n{done.stderr[-4000:]}")
    results = json.loads(done.stdout.splitlines()[-1])
    return [task | {"result": r} for task, r in zip(tasks, results, strict=True)]


def progress(done: int, of: int, task: dict) -> None:
    """One line that is written over on a terminal, and a line each elsewhere."""
    bar = "█" * (20 * done // of) + "░" * (20 - 20 * done // of)
    what = " ".join(str(task[x]) for x in ("case", "job", "method", "n") if x in task)
    end = "\r" if sys.stdout.isatty() and done < of else "\n"
    print(f"{bar} {done}/{of} {what:<60}", end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
