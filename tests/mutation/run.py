"""Puts faults into `lib`, one at a time, and runs the tests that ought to notice: ``make test-all``.

``python tests/mutation/run.py [--only TEXT] [--jobs N]`` reads `faults.yml` beside it. An entry names a file of `lib`,
the text to replace (it must occur exactly once), the fault, and the tests to run. Before any fault, the
same tests must pass on an unchanged copy. The exit status is 0 if every fault made a test fail.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).with_name("faults.yml")
SECONDS = 300  # a fault that makes a test run forever is noticed too
NOTICED, PASSED = 1, 0  # pytest's exit status: some test failed, all passed


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` in `file`; `tests` are pytest arguments that must then fail."""

    file: str
    old: str
    new: str
    tests: str

    def plant(self, root: Path) -> None:
        """Put the fault into the copy of the course in `root`. Raises ValueError if it fits nowhere or twice."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.file}: expected exactly one {self.old!r}, found {text.count(self.old)}; mend faults.yml"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def read_faults(path: Path = FAULTS) -> list[Fault]:
    """The faults of a file that lists them by file of `lib` and by the tests that ought to notice."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Fault(group["file"], old, new, group["tests"])
        for group in groups
        for old, new in group["faults"]
    ]


def run_tests(tests: str, root: Path) -> int:
    """The exit status of pytest on a copy of the course; a test that runs too long has failed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-qx",
        "-p",
        "no:cacheprovider",
        *shlex.split(tests),
    ]
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        return subprocess.run(
            command, cwd=root, env=environment, timeout=SECONDS, capture_output=True
        ).returncode
    except subprocess.TimeoutExpired:
        return NOTICED


def copy_course(folder: Path) -> Path:
    """What the tests need: lib, tests, and the settings of pytest."""
    root = folder / "course"
    for name in ("lib", "tests"):
        shutil.copytree(
            ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "_config.yml"):
        shutil.copy(ROOT / name, root / name)
    return root


def try_fault(fault: Fault | None, tests: str) -> int:
    """The exit status of the tests with the fault in place, or, without a fault, on an unchanged copy."""
    with tempfile.TemporaryDirectory() as folder:
        root = copy_course(Path(folder))
        if fault is not None:
            fault.plant(root)
        return run_tests(tests, root)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Put faults into lib, one at a time; every one must fail a test."
    )
    parser.add_argument(
        "--only",
        default="",
        help="only faults whose file, old or new text contains this",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        help="how many at once (default: one a core)",
    )
    arguments = parser.parse_args(argv)
    faults = [f for f in read_faults() if arguments.only in f"{f.file} {f.old} {f.new}"]
    with ThreadPoolExecutor(arguments.jobs) as workers:
        selections = sorted({fault.tests for fault in faults})
        for tests, status in zip(
            selections,
            workers.map(lambda t: try_fault(None, t), selections),
            strict=True,
        ):
            if status != PASSED:
                print(
                    f"Without any fault, these tests do not pass (pytest: {status}): {tests}"
                )
                return 1
        survivors = 0
        results = workers.map(lambda fault: try_fault(fault, fault.tests), faults)
        for number, (fault, status) in enumerate(zip(faults, results, strict=True), 1):
            # Any other status means that pytest did not get as far as a test.
            verdict = (
                "caught" if status == NOTICED else f"NOT CAUGHT (pytest: {status})"
            )
            survivors += status != NOTICED
            print(
                f"{number:3}/{len(faults)} {verdict:8} {fault.file}: {fault.old.strip()!r} → {fault.new.strip()!r}",
                flush=True,
            )
    print(f"{len(faults) - survivors} of {len(faults)} faults were caught")
    return 1 if survivors or not faults else 0


if __name__ == "__main__":
    sys.exit(main())
