"""The stand-in for Colab: what ``make colab`` would not notice if its own parts were broken."""

import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lib.authoring.repository import Address
from lib.device import SWITCH

HERE = Path(__file__).parent / "colab"
run = SimpleNamespace(**runpy.run_path(str(HERE / "run.py"), run_name="run"))
ADDRESS = Address("https://github.com/someone/a-course", "trunk")


def git(*arguments: str, **options) -> str:
    done = subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True, **options
    )
    return done.stdout.strip()


def test_git_serves_the_last_commit_under_the_courses_address(tmp_path):
    environment = run.colab_environment(tmp_path, ADDRESS)
    served = git("ls-remote", ADDRESS.url, "refs/heads/trunk", env=environment)
    assert served.split()[0] == git("-C", str(run.ROOT), "rev-parse", "HEAD")


def test_the_notebook_finds_colab_and_not_the_course(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(run.ROOT))
    environment = run.colab_environment(tmp_path, ADDRESS)
    for module, found in (("google.colab", True), ("lib.masks", False)):
        command = [
            sys.executable,
            "-S",
            "-c",
            f"import {module}",
        ]  # -S: without what is installed here
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True
        )
        assert (done.returncode == 0) is found, module


def executed(folder: Path, code: str, **stored) -> subprocess.CompletedProcess:
    path = folder / "x.ipynb"
    cell = new_code_cell(code, id="the-cell", **stored)
    nbformat.write(new_notebook(cells=[cell]), path)
    command = [sys.executable, HERE / "execute.py", path]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_notebook_that_runs_is_well(tmp_path):
    assert executed(tmp_path, "1 + 1").returncode == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os\nos._exit(1)", "died"),
        ("explore = len\nexplore([])", "calls explore but shows no widget"),
        ("import a_package_that_colab_lacks", "ModuleNotFoundError"),
        ("device = str\ndevice()", "does not tell how to switch"),
    ],
)
def test_a_failure_names_the_cell(tmp_path, code, said):
    done = executed(tmp_path, code)
    assert done.returncode != 0
    assert "cell 'the-cell'" in done.stderr
    assert said in done.stderr


def test_a_runtime_without_a_gpu_is_told_how_to_switch(tmp_path):
    """And the sentence, which is not stored, is no difference."""
    code = f"device = lambda: print({SWITCH!r})\ndevice()\nprint('one')\n1 + 1"
    outputs = [
        new_output("stream", text="one\n"),
        new_output("execute_result", data={"text/plain": "2"}),
    ]
    done = executed(tmp_path, code, execution_count=1, outputs=outputs)
    assert done.returncode == 0, done.stderr


CHAPTER = "notebooks/09_long_sequences_on_the_gpu.ipynb"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda n: n.cells[0].update(source=n.cells[0].source.replace("09", "08")), "'colab-badge' does not follow"),
        (lambda n: n.cells[1].update(source=n.cells[1].source + "\n!pip install torch"), "'bootstrap' does not follow"),
        (lambda n: n.cells.pop(1), "cell 2 is not the cell 'bootstrap'"),
        (lambda n: n.metadata.pop("accelerator"), "expected {'accelerator': 'GPU'"),
    ],
    ids=["badge", "bootstrap", "no bootstrap", "no GPU"],
)  # fmt: skip
def test_what_leads_elsewhere_is_found_before_it_runs(tmp_path, spoil, said):
    notebook = nbformat.read(run.ROOT / CHAPTER, 4)
    path = tmp_path / CHAPTER
    path.parent.mkdir()
    (tmp_path / "_config.yml").write_bytes((run.ROOT / "_config.yml").read_bytes())
    nbformat.write(notebook, path)
    assert run.astray(path) == ""
    spoil(notebook)
    nbformat.write(notebook, path)
    assert said in run.run_alone(path, tmp_path / "1", Path("python"), {}, set())


@pytest.mark.parametrize(("stored", "status"), [("one\n2", 0), ("one\n3", 1)])
def test_the_text_shown_there_is_the_text_stored_here(tmp_path, stored, status):
    printed, result = stored.split("\n")
    outputs = [
        new_output("stream", text=f"{printed}\n"),
        new_output("execute_result", data={"text/plain": result}),
    ]
    code = "print('one')\n1 + 1"
    done = executed(tmp_path, code, execution_count=1, outputs=outputs)
    assert done.returncode == status
    assert ("cell 'the-cell' shows" in done.stderr) == bool(status)


def test_what_a_notebook_installs_is_for_itself_alone(tmp_path):
    own, other = (
        run.python_beside(Path(sys.executable), tmp_path / name) for name in "ab"
    )
    here = run.installed(own)
    assert here == run.installed(other)
    assert any(line.startswith("numpy==") for line in here)
    subprocess.run([own, "-c", "import numpy"], check=True)
    packages = next((tmp_path / "a").glob("lib/python*/site-packages"))
    for name, version in (("masking_the_future", "9.9"), ("numpy", "0.1")):
        info = packages / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    added = {"masking-the-future==9.9", "numpy==0.1"}
    assert {line.replace("_", "-") for line in run.installed(own) - here} == added
    assert "numpy==" in "".join(here - run.installed(own))
    assert run.installed(other) == here


def write_notebook(path: Path, bootstrap: str) -> Path:
    cells = [new_code_cell(bootstrap, id=run.BOOTSTRAP_ID), new_code_cell("1", id="x")]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_notebooks_with_another_bootstrap_cell_get_an_environment_of_their_own(
    tmp_path,
):
    sources = {"a": "install()", "b": "install() ", "c": "install()", "d": "install()"}
    paths = [write_notebook(tmp_path / f"{n}.ipynb", s) for n, s in sources.items()]
    groups = [[path.stem for path in group] for group in run.by_bootstrap(paths)]
    assert groups == [["a", "c", "d"], ["b"]]


@pytest.fixture
def ran(monkeypatch):
    """A list of the notebooks that have run, each with its Python. Once one has, the course is installed."""
    listed = []

    def run_alone(path, scratch, python, environment, before):
        listed.append((path.name, python))
        return f"{path.name} fails" * (path.name == "broken")

    ours = {
        "python_beside": lambda python, folder: folder / "python",
        "run_alone": run_alone,
        "installed": lambda python: {"masking-the-future==1"} if listed else set(),
    }
    for name, function in ours.items():
        monkeypatch.setitem(run.run_alike.__globals__, name, function)
    return listed


def alike(*names: str, scratch: Path) -> list[tuple[str, str]]:
    with ThreadPoolExecutor(2) as workers:
        found = run.run_alike([*map(Path, names)], scratch, {}, set(), workers)
        return [(path.name, fault) for path, fault in found]


def test_the_first_notebook_installs_the_course_for_those_after_it(ran, tmp_path):
    found = alike("first", "broken", "last", scratch=tmp_path)
    assert found == [("first", ""), ("broken", "broken fails"), ("last", "")]
    assert ran[0][0] == "first"
    assert {python for _, python in ran} == {tmp_path / "environment" / "python"}


def test_where_it_does_not_install_it_no_other_is_tried(ran, tmp_path, monkeypatch):
    nothing = lambda python: {"numpy==2.0.2"}  # noqa: E731
    monkeypatch.setitem(run.run_alike.__globals__, "installed", nothing)
    _, (name, fault) = alike("broken", "last", scratch=tmp_path)
    assert name == "last"
    assert "not tried: broken" in fault
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (["course", "numpy==2"], ""),
        (["course", "numpy==3"], "added ['course', 'numpy==3'], removed ['numpy==2']"),
        (["course"], "removed ['numpy==2']"),
        (["numpy==2"], "added [], removed []"),
    ],
)
def test_a_notebook_may_add_the_course_and_nothing_else(
    after, fault, tmp_path, monkeypatch
):
    course = "masking-the-future==1"
    told = {line.replace("course", course) for line in after}
    path = write_notebook(tmp_path / "x.ipynb", "")
    ours = {
        "installed": lambda python: told,
        "astray": lambda path: "",
        "ROOT": tmp_path,
    }
    for name, value in ours.items():
        monkeypatch.setitem(run.run_alone.__globals__, name, value)
    scratch = tmp_path / "scratch"
    found = run.run_alone(path, scratch, "true", {"PATH": os.defpath}, {"numpy==2"})
    assert fault.replace("course", course) in found
    assert bool(found) == bool(fault)
    assert (scratch / "x" / "x.ipynb").exists()


@pytest.mark.parametrize(
    ("line", "course"),
    [
        ("masking-the-future @ git+https://github.com/a/b@0123", True),
        ("masking-the-future==0.1.0", True),
        ("masking-the-future-extras==1.0", False),
        ("numpy==2.0.2", False),
    ],
)
def test_the_course_is_told_from_other_packages(line, course):
    assert run.is_course(line) is course
