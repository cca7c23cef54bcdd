"""What imports what: the masks and the NumPy twin stay light, and imports flow down."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import grimp
import pytest
from course_copy import copy_course

LINT_IMPORTS = Path(sysconfig.get_path("scripts"), "lint-imports")


@pytest.mark.parametrize(
    "module",
    [
        "lib",
        "lib.examples",
        "lib.readings.arguments",
        "lib.readings.diagonals",
        "lib.readings.shapes",
        "lib.readings.symbols",
        "lib.tiles",
        "lib.masks",
        "lib.numpy_attention",
        "lib.probe",
        "lib.bugs",
    ],
)
def test_import_is_light(module):
    program = f"import sys, {module}; print(sorted({{'torch', 'matplotlib', '{module}'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str([module])


# The contracts of pyproject.toml, which `make test` checks with lint-imports


def lint_imports(course: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [LINT_IMPORTS], cwd=course, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def course(tmp_path) -> Path:
    return copy_course(tmp_path, "lib", "pyproject.toml")


def test_the_contracts_hold(course):
    done = lint_imports(course)
    assert done.returncode == 0, done.stdout


UPWARD = "from lib.torch_attention import attention"
PLANTED = {
    "upwards": ("lib/tiles.py", UPWARD, "lib.tiles -> lib.torch_attention"),
    "upwards in a function": (
        "lib/masks.py",
        f"def later():\n    {UPWARD}",
        "lib.masks -> lib.torch_attention",
    ),
    "upwards for a type": (
        "lib/tiles.py",
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {UPWARD}",
        "lib.tiles -> lib.torch_attention",
    ),
    "sideways": (
        "lib/probe/calls.py",
        "import lib.conventions",
        "lib.probe.calls -> lib.conventions",
    ),
    "from a learner's part to an author's": (
        "lib/grading/checks.py",
        "import lib.authoring.ledger",
        "lib.grading.checks -> lib.authoring.ledger",
    ),
    "a circle in a room": (
        "lib/readings/intervals.py",
        "import lib.readings.tables",
        "No cycles are allowed in lib.readings",
    ),
    "a room without a floor": ("lib/attic.py", "", "- lib.attic"),
    "PyTorch": (
        "lib/readings/tables.py",
        "import torch",
        "lib.readings.tables -> torch",
    ),
    "figures": (
        "lib/tiles.py",
        "import matplotlib.pyplot",
        "lib.tiles -> matplotlib",
    ),
    "YAML": ("lib/grading/checks.py", "import yaml", "lib.grading.checks -> yaml"),
    "notebooks": (
        "lib/grading/student.py",
        "from lib.grading.solutions import TITLE",
        "lib.grading.student -> lib.grading.solutions",
    ),
}


@pytest.mark.parametrize(("name", "code", "said"), PLANTED.values(), ids=PLANTED)
def test_a_planted_import_is_found(course, name, code, said):
    with (course / name).open("a", encoding="utf-8") as file:
        file.write(f"\n{code}\n")
    done = lint_imports(course)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())


def test_no_module_imports_the_room_that_it_stands_in():
    """That would be a circle through the room's `__init__`, which no contract counts as one."""
    graph = grimp.build_graph("lib", cache_dir=None)
    circles = [
        (module, room)
        for module in graph.modules
        for room in graph.find_modules_directly_imported_by(module)
        if module.startswith(f"{room}.")
    ]
    assert circles == []
