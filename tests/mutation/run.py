"""Puts faults into `lib`, one at a time, and runs the tests that ought to notice: ``make test-all``.

``python tests/mutation/run.py [--only TEXT] [--jobs N]`` reads `faults.yml` beside it. A fault is *caught* if a test
fails by name. An import that fails, or a run that takes too long, does not count: anyone would notice those, and no
test has shown that it looks. An *equivalent* fault changes nothing, for the reason given, and must survive. The exit
status is 0 if every fault is caught and every equivalent one survives.
"""

import argparse
import multiprocessing
import os
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FAULTS = "tests/mutation/faults.yml"
# What the tests need; they run on a copy of it.
COPIED = ("lib", "tests", "exercises", "solutions", "pyproject.toml", "_config.yml")
SECONDS = 300
# Plugins, and pretty messages that nobody reads, would take longer than the tests.
OPTIONS = "-qx --tb=no --assert=plain -p no:cacheprovider -p no:unraisableexception"
# What starts afresh is a fork of a process that has imported these already, but nothing of the course.
FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
PROCESSES = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    PROCESSES.set_forkserver_preload(
        [
            "pytest",
            "yaml",
            "hypothesis.extra.numpy",
            "torch.nn.attention.bias",
            "torch.nn.attention.flex_attention",
            "IPython",
            "ipykernel.kernelapp",
            "matplotlib.pyplot",
            "sphinx.builders.html",
            "myst_nb.sphinx_",
            "sphinx_book_theme",
            "jupyter_book.cli.main",
        ]
    )


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` in `file`; `tests` are pytest arguments that must then fail.

    `reason`: why it changes nothing, if it is an equivalent one.
    """

    file: str
    old: str
    new: str
    tests: str
    reason: str | None = None

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}: {old} → {new or '(nothing)'}"

    def occurrences(self, root: Path) -> int:
        return (root / self.file).read_text(encoding="utf-8").count(self.old)

    def plant(self, root: Path) -> None:
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """How pytest ended: whether all passed; the test that failed, if one did; what else went wrong, if anything."""

    passed: bool = False
    failed: str | None = None
    problem: str | None = None

    def as_expected(self, fault: Fault) -> bool:
        return bool(self.failed) if fault.reason is None else self.passed

    def verdict(self, fault: Fault) -> str:
        said = f"fails: {self.failed}" if self.failed else self.problem or "all pass"
        if self.as_expected(fault):
            return f"caught, {said}" if fault.reason is None else "changes nothing"
        return f"{'NOT CAUGHT' if fault.reason is None else 'NOT EQUIVALENT'}, {said}"


def read_faults(root: Path = ROOT) -> list[Fault]:
    """The faults that faults.yml lists, by file of `lib` and by the tests that ought to notice."""
    groups = yaml.safe_load((root / FAULTS).read_text(encoding="utf-8"))
    return [
        Fault(group["file"], old, new, group["tests"], *reason)
        for group in groups
        for old, new, *reason in group.get("faults", []) + group.get("equivalent", [])
    ]


def misfits(faults: list[Fault], root: Path = ROOT) -> list[str]:
    """Complaints about faults that do not fit the code: each `old` must occur once, and none may be listed twice."""
    numbers = [(fault, fault.occurrences(root)) for fault in faults]
    listed = Counter((fault.file, fault.old, fault.new) for fault in faults)
    return [
        f"{fault}: its text occurs {number} times, expected once"
        for fault, number in numbers
        if number != 1
    ] + [f"{' '.join(key)}: listed {n} times" for key, n in listed.items() if n > 1]


class Observer:
    """A plugin of pytest that keeps what failed first."""

    def __init__(self) -> None:
        self.failed = self.problem = None

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.problem = f"import fails: {report.nodeid}"

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and report.when == "call":
            self.failed = report.nodeid.split("::", 1)[1]
        elif report.failed:
            self.problem = f"{report.when} fails: {report.nodeid}"


def _run_tests(tests: str, root: Path, answers) -> None:
    """In a process of its own: send the outcome of pytest on the copy of the course in `root`."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ |= {
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HYPOTHESIS_PROFILE": "faults",  # of tests/conftest.py
    }
    sys.dont_write_bytecode = True
    observer = Observer()
    status = pytest.main(shlex.split(f"{OPTIONS} {tests}"), [observer])
    problem = observer.problem
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        problem = problem or f"pytest ends with {status!r}"
    answers.send(Outcome(status == pytest.ExitCode.OK, observer.failed, problem))


def run_tests(tests: str, root: Path) -> Outcome:
    """The outcome of pytest, with `tests` as its arguments, on the copy of the course in `root`."""
    try:
        return answer_of(_run_tests, tests, root, seconds=SECONDS)
    except TimeoutError:
        return Outcome(problem=f"tests run for more than {SECONDS} s")
    except EOFError:
        return Outcome(problem="the tests end without an answer")


def answer_of(task: Callable, *arguments, seconds: float | None = None) -> object:
    """What `task(*arguments, answers)` sends through `answers`, in a process of its own that starts afresh.

    Raises EOFError where it ends without an answer, TimeoutError where it takes more than `seconds`.
    """
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=task, args=(*arguments, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise TimeoutError
        return receiver.recv()
    finally:
        process.kill()
        process.join()


def try_fault(fault: Fault | None, tests: str, root: Path = ROOT) -> Outcome:
    """The outcome of the tests with the fault in place, or, without a fault, on an unchanged copy."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "course")
        copy.mkdir()
        for source in (root / name for name in COPIED):
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, copy / source.name, ignore=ignore)
            else:
                shutil.copy(source, copy)
        if fault is not None:
            fault.plant(copy)
        return run_tests(tests, copy)


def outcomes(
    faults: list[Fault], jobs: int, root: Path = ROOT
) -> Iterator[tuple[Fault, Outcome]]:
    """Each fault with what came of it. Raises SystemExit if some of the tests fail without any fault."""
    with ThreadPoolExecutor(jobs) as workers:
        selections = sorted({fault.tests for fault in faults})
        print("Without a fault, these must pass:", flush=True)
        unchanged = workers.map(lambda tests: try_fault(None, tests, root), selections)
        for tests, outcome in zip(selections, unchanged, strict=True):
            if not outcome.passed:
                workers.shutdown(cancel_futures=True)
                raise SystemExit(f"pytest {tests}: {outcome.failed or outcome.problem}")
            print(f"    pytest {tests}", flush=True)
        tried = workers.map(lambda fault: try_fault(fault, fault.tests, root), faults)
        yield from zip(faults, tried, strict=True)


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        description="Put faults into lib, one at a time; every one must fail a test."
    )
    parser.add_argument(
        "--only", default="", help="only faults whose file, old or new text holds this"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        help="how many at once (default: one a core)",
    )
    arguments = parser.parse_args(argv)
    listed = read_faults(root)
    if complaints := misfits(listed, root):
        print(f"Mend {FAULTS}:", *complaints, sep="\n")
        return 2
    faults = [f for f in listed if arguments.only in f"{f.file} {f.old} {f.new}"]
    if not faults:
        print(f"No fault holds {arguments.only!r}")
        return 2

    os.environ["OMP_NUM_THREADS"] = "1"
    planted, unexpected = Counter(), []
    with tempfile.TemporaryDirectory() as compiled:  # not among what the user keeps
        os.environ["XDG_CACHE_HOME"] = compiled
        for fault, outcome in outcomes(faults, arguments.jobs, root):
            planted[fault.file] += 1
            line = f"{fault}: {outcome.verdict(fault)}"
            if not outcome.as_expected(fault):
                unexpected.append((fault, line))
            print(f"{planted.total():3}/{len(faults)} {line}", flush=True)
    report(planted, unexpected)
    return 1 if unexpected else 0


def report(planted: Counter, unexpected: list[tuple[Fault, str]]) -> None:
    """A line for each file, then every fault that was not caught."""
    surprises = Counter(fault.file for fault, _ in unexpected)
    for file, number in planted.items():
        print(f"{number - surprises[file]:4} of {number:3} as expected in {file}")
    print(*(line for _, line in unexpected), sep="\n")
    print(f"{planted.total()} faults planted, {len(unexpected)} not as expected")


if __name__ == "__main__":
    sys.exit(main())
