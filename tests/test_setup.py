"""The set-up: what is pinned, what is installed, and how the Makefile makes the environment."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import touched
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lib.authoring.repository import NOTEBOOK_FOLDERS

ROOT = Path(__file__).resolve().parents[1]
# A GPU build of torch brings these, in versions that it pins itself.
TORCH_BUILD = ("nvidia-", "cuda-", "triton")


def requirement_lines(text: str) -> list[str]:
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def unpinned(lines: list[str]) -> list[str]:
    """The lines that neither pin one version with == nor install the course itself."""
    return [
        line
        for line in lines
        if line != "-e ." and not re.fullmatch(r"[\w.-]+==[\w.]+", line)
    ]


def pins() -> dict[str, str]:
    lines = requirement_lines((ROOT / "requirements.txt").read_text())
    named = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): version for name, version in named}


def test_every_requirement_is_pinned():
    lines = requirement_lines((ROOT / "requirements.txt").read_text())
    assert unpinned(lines) == []
    assert lines.count("-e .") == 1
    assert len(pins()) == len(lines) - 1  # no package twice


@pytest.mark.parametrize(
    "line", ["numpy", "numpy>=2", "numpy==2.*", "git+https://x/y", "numpy~=2.0"]
)
def test_a_loose_requirement_is_found(line):
    assert unpinned(["-e .", "six==1.17.0", line]) == [line]


def test_what_is_installed_equals_the_pins():
    """Local parts are left out: 2.13.0+cpu is a build of 2.13.0."""
    found = {name: Version(distribution(name).version).public for name in pins()}
    assert found == pins()


def test_everything_the_pins_bring_with_them_is_pinned():
    """Follow the requirements of each pinned package; whatever applies here must be pinned too."""
    missing = set()
    for name in pins():
        for text in distribution(name).requires or []:
            needed = Requirement(text)
            applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
            key = canonicalize_name(needed.name)
            if applies and key not in pins() and not key.startswith(TORCH_BUILD):
                missing.add(f"{key}, which {name} needs")
    assert missing == set()


def test_the_packages_lower_bounds_are_what_colab_has():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "dependencies"
    ]
    constraints = requirement_lines((ROOT / "tests/colab/constraints.txt").read_text())
    colab = {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in constraints)
    }
    colab["torch"] = "2.10"  # the oldest that Colab's snapshots of 2026 have
    for requirement in map(Requirement, dependencies):
        name = canonicalize_name(requirement.name)
        assert {part.operator for part in requirement.specifier} == {">="}, requirement
        assert name in colab, f"Colab does not have {name}"
        assert requirement.specifier.contains(colab[name]), (
            f"{requirement}: Colab has {colab[name]}"
        )
        assert requirement.specifier.contains(pins()[name]), requirement


def test_the_course_can_be_imported_from_every_folder(tmp_path):
    """Installed in editable mode: ``-I`` leaves out the current folder and PYTHONPATH.

    The tools for authors are not in the wheel, but here they are.
    """
    code = "import lib.authoring.ledger, lib.masks; print(lib.masks.__file__)"
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert Path(done.stdout.strip()) == ROOT / "lib" / "masks.py", done.stderr


# The Makefile, with a stand-in for Python that records what it is asked and makes nothing but empty files.

FAKE_PYTHON = """\
#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
  *version_info*) exit {old} ;;
  *ensurepip*) exit {bare} ;;
  --version) echo "Python 3.9.1" ;;
  *-m\\ venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *pip\\ install*) exit $(cat "{log}.pip") ;;
esac
"""


class Machine:
    """A folder with the course's Makefile and a stand-in for Python."""

    def __init__(self, folder: Path, *, old: int = 0, bare: int = 0):
        self.folder = folder
        for name in ("Makefile", "requirements.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        self.log = folder / "log"
        self.log.touch()
        self.pip_exits(0)
        python = folder / "fake-python"
        python.write_text(FAKE_PYTHON.format(log=self.log, old=old, bare=bare))
        python.chmod(0o755)

    def pip_exits(self, status: int) -> None:
        (self.folder / "log.pip").write_text(str(status))

    def make(
        self, *target: str, python: str = "./fake-python"
    ) -> subprocess.CompletedProcess:
        environment = {name: os.environ[name] for name in ("PATH", "HOME")}
        command = ["make", f"PYTHON={python}", *target]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )

    @property
    def installations(self) -> int:
        return self.log.read_text().count("pip install")


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_the_environment_is_made_once(machine):
    first = machine.make(".venv/.installed")
    assert first.returncode == 0, first.stderr
    assert "1/2" in first.stdout
    assert "2/2" in first.stdout
    machine.make(".venv/.installed")
    assert machine.installations == 1


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_changed_requirement_is_installed(machine, name):
    machine.make(".venv/.installed")
    stamp = (machine.folder / ".venv/.installed").stat().st_mtime
    os.utime(machine.folder / name, (stamp + 10, stamp + 10))
    machine.make(".venv/.installed")
    assert machine.installations == 2


def test_an_interrupted_installation_starts_again(machine):
    machine.pip_exits(1)
    assert machine.make(".venv/.installed").returncode != 0
    assert not (machine.folder / ".venv/.installed").exists()
    machine.pip_exits(0)
    assert machine.make(".venv/.installed").returncode == 0
    assert machine.installations == 2


def test_an_old_python_is_refused_in_words(tmp_path):
    done = Machine(tmp_path, old=1).make("book")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer; ./fake-python is Python 3.9.1" in done.stdout
    assert "make PYTHON=python3.12 book" in done.stdout


def test_a_python_without_venv_is_told_which_package_to_install(tmp_path):
    done = Machine(tmp_path, bare=1).make("test")
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_a_missing_python_is_named(machine):
    done = machine.make("book", python="no-such-python")
    assert done.returncode != 0
    assert "no-such-python was not found" in done.stdout


def test_serve_says_that_the_book_must_be_built(machine):
    done = machine.make("serve")
    assert done.returncode != 0
    assert "Run: make book" in done.stdout


def test_help_is_the_default_and_names_every_target(machine):
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    shown = machine.make().stdout
    assert shown == machine.make("help").stdout
    assert [
        name for name in targets if name != "help" and f"make {name} " not in shown
    ] == []


@pytest.mark.parametrize(
    "start", ["define STATIC", "check:", "test:", "test-all: test"]
)
def test_no_step_of_the_tests_hides_its_failure(start):
    recipe = (ROOT / "Makefile").read_text().split(f"\n{start}")[1].split("\n\n")[0]
    assert not re.search(r"\|\||;|\t-|\t@-| \| ", recipe)


def test_every_notebook_is_compared_strictly():
    makefile = (ROOT / "Makefile").read_text()
    assert f"\nNOTEBOOKS := {' '.join(NOTEBOOK_FOLDERS)}\n" in makefile
    assert re.search(
        r"pytest --nbval .* tests \$\(NOTEBOOKS\)$", makefile, re.MULTILINE
    )
    assert f"pytest {' '.join(touched.PYTEST)} tests $(NOTEBOOKS)\n" in makefile
