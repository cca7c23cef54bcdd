"""What ships: the wheel, installed alone beside its declared dependencies, can import every module it holds."""

import subprocess
import sys
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

import pytest
from course_copy import copy_course
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
IMPORT_ALL = """\
import importlib, pkgutil
import lib
for module in pkgutil.walk_packages(lib.__path__, "lib."):
    importlib.import_module(module.name)
    print(module.name)
"""


def needed(requirements: list[str]) -> set[str]:
    """The distributions that these requirements ask for, and what those ask for in turn."""
    found: set[str] = set()
    waiting = list(map(Requirement, requirements))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        marker = requirement.marker
        if name not in found and (not marker or marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += map(Requirement, distribution(name).requires or [])
    return found


class Environment:
    """The wheel in a folder of its own, and a folder of links to the packages that it declares."""

    def __init__(self, root: Path):
        self.root = root
        source = copy_course(
            root / "source", "lib", "pyproject.toml", "*.md", "LICENSE"
        )
        build = [
            *PIP,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            root,
        ]
        subprocess.run([*build, source], check=True)
        [wheel] = root.glob("*.whl")
        self.installed = root / "installed"
        target = ["--no-deps", "--no-index", "--target", self.installed]
        subprocess.run([*PIP, "install", *target, wheel], check=True)
        [metadata] = self.installed.glob("*.dist-info/METADATA")
        declared = Parser().parsestr(metadata.read_text(encoding="utf-8"))
        self.declared = [
            Requirement(text) for text in declared.get_all("Requires-Dist")
        ]
        self.packages = root / "packages"
        self.packages.mkdir()
        for name in needed([str(requirement) for requirement in self.declared]):
            self._link(name)

    def _link(self, name: str) -> None:
        """Link every folder and file that the distribution has put beside the other packages."""
        packages = distribution(name)
        tops = {file.parts[0] for file in packages.files or []}
        for top in tops - {"..", "__pycache__"}:
            link = self.packages / top
            if not link.exists():
                link.symlink_to(packages.locate_file(top))

    def python(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Python with its standard library, the wheel and the declared packages, and nothing else."""
        start = (
            f"import sys; sys.path += [{str(self.installed)!r}, {str(self.packages)!r}]; "
            "import runpy; code, *sys.argv = sys.argv[1:]; exec(code)"
        )
        command = [sys.executable, "-I", "-S", "-c", start, *arguments]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("wheel"))


def test_every_module_of_the_wheel_can_be_imported(environment):
    done = environment.python(IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert {"lib.masks", "lib.engine.compiled", "lib.grading.trials"} <= set(modules)
    assert not [name for name in modules if name.startswith("lib.authoring")]
    for file in ("lib/engine/kernel.cpp", "lib/receipts/receipts.json"):
        assert (environment.installed / file).exists(), file


def test_a_module_that_needs_more_than_is_declared_is_found(environment):
    needs_more = environment.installed / "lib" / "needs_more.py"
    needs_more.write_text("import nbclient\n")
    done = environment.python("import lib.needs_more")
    needs_more.unlink()
    assert "No module named 'nbclient'" in done.stderr


def test_each_declared_package_is_imported_by_what_ships(environment):
    """So a package leaves the list when its last import goes."""
    ships = "\n".join(
        path.read_text(encoding="utf-8")
        for path in environment.installed.glob("lib/**/*.py")
    )
    modules = {"pillow": "PIL", "ipython": "IPython"}
    for requirement in environment.declared:
        if requirement.marker is None:
            name = modules.get(requirement.name, requirement.name)
            assert f"import {name}" in ships or f"from {name}" in ships, requirement


def test_the_tools_for_a_clone_say_that_they_need_one(environment):
    start = "runpy.run_module('lib', run_name='__main__', alter_sys=True)"
    done = environment.python(start, "lib", "ledger", "--check")
    assert done.returncode == 2
    assert "clone the repository" in done.stderr
    assert "`python -m lib ledger`" in done.stderr
    assert "Traceback" not in done.stderr
    done = environment.python(start, "lib", "progress", "--help")
    assert done.returncode == 0, done.stderr
