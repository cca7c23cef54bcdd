"""Run every notebook as a reader on Colab does: alone, in an empty folder, with the versions that Colab has.

``make colab`` calls this. The course is not installed; the bootstrap cell of a notebook installs it from the
repository's address, which git's own configuration redirects to a clone of the last commit. Before and after, the
installed packages must differ by the course alone. A CPU build of torch stands in for Colab's.

All notebooks open with the same bootstrap cell. So the first of them installs the course, into a new environment that
sees Colab's packages; the others run there after it, as many at once as there are cores. A notebook whose bootstrap
cell is another one gets an environment of its own.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import nbformat

from lib.authoring.notebook_page import Page
from lib.authoring.notebook_rules import first_cells, right_runtime
from lib.authoring.repository import (
    BOOTSTRAP_ID,
    NOTEBOOK_FOLDERS,
    Address,
    read_address,
)

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "colab"
VENV = ROOT / ".venv-colab"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = HERE / "constraints.txt"
TORCH = "torch==2.13.0"
COURSE = "masking-the-future"
# At once; each may take a gigabyte.
JOBS = min(os.cpu_count() or 1, 4)
COLAB_PYTHONS = (
    "python3.12",
    "python3.11",
)  # Colab has 3.12; its versions of the packages also run on 3.11


def main() -> int:
    """Run the notebooks named on the command line, or all of them; 0 when every one succeeds."""
    paths = [Path(name).resolve() for name in sys.argv[1:]] or [
        path
        for folder in NOTEBOOK_FOLDERS
        for path in sorted((ROOT / folder).glob("*.ipynb"))
    ]
    if not paths:
        print("There is no notebook to run.")
        return 1
    build_environment()
    if changed := output_of("git", "-C", str(ROOT), "status", "--porcelain"):
        print(
            f"WARNING: these changes are not committed, so the notebooks do not see them in lib:\n{changed}"
        )
    before = installed(PYTHON)
    if any(is_course(line) for line in before):
        print(f"{COURSE} is installed in {VENV.name}; remove {VENV.name} and try again")
        return 1
    failures = 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS) as workers:
        environment = colab_environment(Path(scratch), read_address(ROOT))
        outcomes = chain.from_iterable(
            run_alike(group, Path(scratch, str(number)), environment, before, workers)
            for number, group in enumerate(by_bootstrap(paths))
        )
        for number, (path, fault) in enumerate(outcomes, 1):
            failures += bool(fault)
            print(
                f"[{number}/{len(paths)}] {path.relative_to(ROOT)} … "
                + (f"FAILED\n{fault}" if fault else "ok"),
                flush=True,
            )
    print(
        f"make colab: {len(paths) - failures} of {len(paths)} notebooks run with the versions that Colab has."
    )
    return 1 if failures else 0


def build_environment() -> None:
    """Make `.venv-colab` with the constraints' versions, unless it holds them already."""
    wanted = hashlib.sha256(CONSTRAINTS.read_bytes() + TORCH.encode()).hexdigest()
    stamp = VENV / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    python = next(filter(None, map(working, COLAB_PYTHONS)), None)
    if python is None:
        sys.exit(
            f"make colab needs one of {', '.join(COLAB_PYTHONS)}: Colab's packages do not run on a newer Python."
        )
    print(
        f"Making {VENV.name} with {python} and the versions that Colab has …",
        flush=True,
    )
    names = [
        line.partition("==")[0]
        for line in CONSTRAINTS.read_text().splitlines()
        if not line.startswith("#")
    ]
    subprocess.run([python, "-m", "venv", "--clear", VENV], check=True)
    install = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--constraint",
        CONSTRAINTS,
    ]
    subprocess.run([*install, "--quiet", TORCH, *names], check=True)
    stamp.write_text(wanted)


def working(python: str) -> str | None:
    """The path of that Python if it is there and can make environments."""
    path = shutil.which(python)
    probe = [path, "-c", "import venv, ensurepip"]
    return (
        path
        if path and subprocess.run(probe, capture_output=True).returncode == 0
        else None
    )


def colab_environment(scratch: Path, address: Address) -> dict[str, str]:
    """The variables for git and Python: the course's address leads to a clone of the last commit, `lib` nowhere."""
    clone = scratch / "course.git"
    git = ["git", "-C", str(clone)]
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", str(ROOT), str(clone)], check=True
    )
    head = output_of("git", "-C", str(ROOT), "rev-parse", "HEAD")
    subprocess.run(
        [*git, "update-ref", f"refs/heads/{address.branch}", head], check=True
    )
    subprocess.run([*git, "config", "uploadpack.allowFilter", "true"], check=True)
    config = scratch / "gitconfig"
    config.write_text(
        f'[url "{clone.as_uri()}"]\n\tinsteadOf = {address.url}\n[safe]\n\tdirectory = *\n'
    )
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return inherited | {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_TERMINAL_PROMPT": "0",
        "CUDA_VISIBLE_DEVICES": "",  # a runtime without a GPU
        "OMP_NUM_THREADS": str((os.cpu_count() or 1) // JOBS),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONPATH": str(HERE / "stand_in"),
    }


def by_bootstrap(paths: list[Path]) -> list[list[Path]]:
    """The notebooks, those together whose bootstrap cell is the same to the letter."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        cells = nbformat.read(path, as_version=4).cells
        own = "".join(cell.source for cell in cells if cell.id == BOOTSTRAP_ID)
        groups.setdefault(own, []).append(path)
    return list(groups.values())


def run_alike(
    paths: list[Path],
    scratch: Path,
    environment: dict[str, str],
    before: set[str],
    workers: Executor,
) -> Iterator[tuple[Path, str]]:
    """Run notebooks with the same bootstrap cell in one new environment; each with its fault, as `run_alone` says it.

    `before`: the packages that are installed when the first one starts; it installs the course for all.
    """
    python = python_beside(PYTHON, scratch / "environment")
    first, *others = paths
    yield first, run_alone(first, scratch, python, environment, before)
    if not any(map(is_course, installed(python))):
        fault = f"not tried: {first.name}, which has the same bootstrap cell, did not install the course"
        yield from ((path, fault) for path in others)
        return
    faults = workers.map(
        lambda path: run_alone(path, scratch, python, environment, before), others
    )
    yield from zip(others, faults, strict=True)


def run_alone(
    path: Path,
    scratch: Path,
    python: Path,
    environment: dict[str, str],
    before: set[str],
) -> str:
    """Copy the notebook into an empty folder in `scratch` and run it there; what went wrong, or an empty text.

    Afterwards the environment of `python` must have the course and the packages `before`, nothing else.
    """
    if faults := astray(path):
        return faults
    folder = scratch / path.relative_to(ROOT).with_suffix("")
    folder.mkdir(parents=True)
    notebook = shutil.copy(path, folder)
    done = subprocess.run(
        [python, HERE / "execute.py", notebook],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return done.stderr
    after = installed(python)
    added, removed = after - before, before - after
    if removed or len(added) != 1 or not is_course(*added):
        return f"the notebook changed more than the course: added {sorted(added)}, removed {sorted(removed)}"
    return ""


def astray(path: Path) -> str:
    """What would lead a reader of the notebook elsewhere before it runs: its badge, bootstrap cell or runtime."""
    root = path.parents[1]
    notebook = nbformat.read(path, 4)
    page = Page(root, path.relative_to(root), notebook, read_address(root))
    return "\n".join([*first_cells(page), *right_runtime(page)])


def python_beside(python: Path, folder: Path) -> Path:
    """The Python of a new environment in `folder` that sees what is installed for `python` and leaves it alone."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    new = folder / "bin" / "python"
    packages, own = (
        output_of(
            str(p), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
        )
        for p in (python, new)
    )
    Path(own, "colab.pth").write_text(f"{packages}\n")
    return new


def installed(python: Path) -> set[str]:
    """What pip lists for `python`, by name and version."""
    return set(output_of(str(python), "-m", "pip", "freeze", "--all").splitlines())


def is_course(line: str) -> bool:
    return line.startswith((f"{COURSE} @", f"{COURSE}=="))


def output_of(*command: str) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
