"""Runs the tests that a change touches: ``make check``.

The change is what differs from the commit at which the branch left `main`: committed or not, and new files. On `main`
itself it is what is not committed. A file of `lib` is watched by the tests that `mutation/faults.yml` names for it, a
test file by itself, a notebook by its run, its sliders and its chapter's claims, other files as `WATCHED` says. After
a change of anything else, and where a file is gone, every test runs. ``make test`` always runs them all.
"""

import argparse
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from mutation.run import Fault, read_faults

from lib.authoring.repository import NOTEBOOK_FOLDERS

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [
    "--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", "-n", "auto", "--max-worker-restart=0",
]  # fmt: skip
EVERYTHING = ["tests", *NOTEBOOK_FOLDERS]
# Where a chapter runs once for what it stores, its sliders and its claims: here that run is enough.
LIVE = ["tests/test_claims.py", "tests/test_sliders_live.py"]
# The first pattern that fits a file names the tests that watch it; {file} is the file itself.
WATCHED = {
    "tests/test_*.py": "{file}",
    "tests/browser/test_*.py": "{file}",
    "tests/claims.*": "tests/test_claims.py tests/test_ledger.py",
    "tests/live_run.py": "tests/test_claims.py tests/test_sliders_live.py",
    "tests/recorded_kernel.py": "tests/test_sliders_live.py",
    "tests/*_probe.py": "tests/test_claims.py tests/test_sliders_live.py",
    "tests/mutation/*": "tests/test_mutation.py",
    "tests/touched.py": "tests/test_touched.py",
    "tests/benchmarks/*": "tests/test_benchmarks.py",
    "tests/colab/*": "tests/test_colab.py",
    "tests/hostile/*": "tests/test_batch_hostile.py",
    "lib/grading/references/*": "tests/test_exercises.py",
    "book/concept_test*": "tests/test_concept_answers.py tests/browser/test_concept_test_page.py",
    "book/_ext/static/concept_test.*": "tests/browser/test_concept_test_page.py",
    "book/_ext/static/playground*": "tests/browser/test_playground.py",
    "lib/receipts/*.json": "tests/test_receipts.py",
    "book/ledger.yml": "tests/test_ledger.py tests/test_claims.py",
    "book/*": "tests/test_book.py tests/test_ledger.py",
    "Makefile": "tests/test_setup.py tests/test_project_files.py",
    ".github/*": "tests/test_project_files.py",
    ".ci/*": "tests/test_project_files.py",
    "CITATION.cff": "tests/test_project_files.py",
    "*.md": "tests/test_project_files.py",
}


def git(*arguments: str, root: Path = ROOT) -> str:
    """What git prints; raises CalledProcessError where it fails."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


def fork_point(root: Path = ROOT) -> str:
    """The commit at which the branch left `main`; HEAD where there is no `main`."""
    for branch in ("main", "origin/main"):
        try:
            return git("merge-base", "HEAD", branch, root=root).strip()
        except subprocess.CalledProcessError:
            continue
    return git("rev-parse", "HEAD", root=root).strip()


def changed_files(since: str, root: Path = ROOT) -> list[str]:
    """Files that differ from the commit `since`, or are new or gone, in order."""
    differ = git("diff", "--name-only", "--no-renames", "-z", since, root=root)
    new = git("ls-files", "--others", "--exclude-standard", "-z", root=root)
    return sorted(set((differ + new).split("\0")) - {""})


def watchers(file: str, faults: list[Fault], root: Path = ROOT) -> set[str] | None:
    """The test files that watch the file; None where that is not known. A notebook is watched by itself."""
    if not (root / file).exists():
        return None
    folder, _, name = file.partition("/")
    if folder in NOTEBOOK_FOLDERS and name.endswith(".ipynb"):
        exercise = ["tests/test_exercises.py", f"tests/test_exercise_{name[:2]}.py"]
        also = exercise if folder != "notebooks" else []
        return {file, *(test for test in also if (root / test).exists())}
    words = {w for fault in faults if fault.file == file for w in fault.tests.split()}
    if words:
        return {word.partition("::")[0] for word in words if word.startswith("tests/")}
    for pattern, tests in WATCHED.items():
        if fnmatch(file, pattern):
            return set(tests.format(file=file).split())
    return None


def runs(files: list[str], root: Path = ROOT) -> list[list[str]]:
    """The arguments of each run of pytest that the change of `files` asks for."""
    faults = read_faults(root)
    found = {file: watchers(file, faults, root) for file in files}
    if unknown := [file for file, tests in found.items() if tests is None]:
        print(f"No test is known to watch {', '.join(unknown)}: all of them run.")
        return [EVERYTHING]
    tests = set().union(*found.values())
    notebooks = sorted(path for path in tests if path.endswith(".ipynb"))
    others = sorted(tests.difference(notebooks))
    names = " or ".join(sorted({Path(path).stem for path in notebooks}))
    exercises = [path for path in notebooks if not path.startswith("notebooks/")]
    live = [[*exercises, *LIVE, "-k", names]] if notebooks else []
    return live + ([others] if others else [])


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    description, _, rest = __doc__.partition("\n\n")
    argparse.ArgumentParser(
        prog="python tests/touched.py", description=description, epilog=rest
    ).parse_args(argv)
    since = fork_point(root)
    files = changed_files(since, root)
    if not files:
        print(f"Nothing differs from commit {since[:7]}, so no test runs.")
        return 0
    print(f"Since commit {since[:7]} these differ: {', '.join(files)}")
    status = 0
    for arguments in runs(files, root):
        print(f"== pytest {' '.join(arguments)}", flush=True)
        command = [sys.executable, "-m", "pytest", *PYTEST, *arguments]
        status |= subprocess.run(command, cwd=root).returncode
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main())
