"""`lib.authoring.repository`: one address in `_config.yml`, everything else follows from it."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from course_copy import ROOT, copy_course
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib.__main__ import main
from lib.authoring.notebooks import normalise
from lib.authoring.repository import (
    GPU,
    Address,
    bootstrap,
    read_address,
    with_first_cells,
    with_runtime,
)

OTHER = Address("https://github.com/Someone/elsewhere", "trunk")


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """A copy of the files that git tracks, as the current folder."""
    monkeypatch.chdir(copy_course(tmp_path))
    return tmp_path


def move(root: Path, address: Address) -> None:
    config = root / "_config.yml"
    before = read_address(root)
    text = config.read_text().replace(before.url, address.url)
    config.write_text(
        text.replace(f"branch: {before.branch}", f"branch: {address.branch}")
    )
    assert read_address(root) == address


def test_the_committed_files_follow_from_the_address(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["repository", "--check"]) == 0, capsys.readouterr().out


def test_the_book_as_one_file_has_one_name():
    """Pages link to it, a program writes it, and a workflow publishes it."""
    name = OTHER.pdf.rpartition("/")[2]
    for file in ("book/_ext/pdf.py", ".github/workflows/book.yml", "Makefile"):
        assert name in (ROOT / file).read_text("utf-8"), file


def test_a_new_address_reaches_every_file(copied, capsys):
    before = read_address(copied)
    move(copied, OTHER)
    assert main(["repository", "--check"]) == 1
    listed = capsys.readouterr().out
    for name in (
        "README.md",
        "CITATION.cff",
        "pyproject.toml",
        ".github/workflows/book.yml",
    ):
        assert name in listed
    for path in (copied / "notebooks").glob("*.ipynb"):
        assert path.name in listed
    assert main(["repository"]) == 0
    assert main(["repository", "--check"]) == 0
    old = f"{before.owner}/{before.name}"
    texts = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    assert [path for path, text in texts.items() if old.encode() in text] == []
    assert (
        "git clone https://github.com/Someone/elsewhere\n"
        in (copied / "README.md").read_text()
    )
    assert "branches: [trunk]" in (copied / ".github/workflows/book.yml").read_text()


def test_writing_touches_only_what_differs(copied):
    untouched = {
        path: path.read_bytes() for path in copied.rglob("*") if path.is_file()
    }
    assert main(["repository"]) == 0
    assert {path: path.read_bytes() for path in untouched} == untouched


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("README.md", "[colab]:"),
        ("README.md", "[repository]:"),
        ("book/index.md", "[pdf]:"),
        ("CITATION.cff", "repository-code:"),
        ("pyproject.toml", "Repository ="),
        (".github/workflows/book.yml", "    branches:"),
    ],
)
def test_a_line_that_differs_or_is_gone_is_found(copied, capsys, file, line):
    path = copied / file
    good = path.read_text()
    [found] = [text for text in good.splitlines() if text.startswith(line)]
    path.write_text(good.replace(found, f"{line} https://example.org"))
    assert main(["repository", "--check"]) == 1
    path.write_text(good.replace(found, ""))
    assert main(["repository", "--check"]) == 1
    assert main(["repository"]) == 1
    assert "no line matches" in capsys.readouterr().out


def test_the_first_cells_are_put_in_place_and_the_others_kept():
    draft = new_notebook(
        cells=[new_markdown_cell("# Hello", id="title"), new_code_cell("1", id="one")]
    )
    notebook = with_first_cells(draft, "notebooks/02_x.ipynb", OTHER)
    assert [cell.id for cell in notebook.cells] == [
        "colab-badge",
        "bootstrap",
        "title",
        "one",
    ]
    link = "https://colab.research.google.com/github/Someone/elsewhere/blob/trunk/notebooks/02_x.ipynb"
    assert f"]({link})" in notebook.cells[0].source
    assert with_first_cells(notebook, "notebooks/02_x.ipynb", OTHER) == notebook
    assert [cell.id for cell in draft.cells] == ["title", "one"]


def test_colab_is_asked_for_a_gpu_by_those_that_use_one():
    draft = normalise(new_notebook())
    asked = with_runtime(draft, "exercises/09_long.ipynb")
    assert asked.metadata == draft.metadata | GPU
    assert with_runtime(asked, "notebooks/02_x.ipynb") == draft
    mine = new_notebook(
        metadata={"accelerator": "GPU", "colab": {"name": "mine.ipynb"}}
    )
    assert normalise(mine).metadata == draft.metadata | GPU
    assert "accelerator" not in draft.metadata


def test_the_badge_of_a_notebook_that_points_elsewhere_is_found(copied, capsys):
    path = copied / "notebooks" / "01_weighted_values.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[0].source = notebook.cells[0].source.replace("/main/", "/other/")
    nbformat.write(notebook, path)
    assert main(["repository", "--check"]) == 1
    assert "notebooks/01_weighted_values.ipynb: differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "no url and no branch"),
        ("repository:\n  url: https://github.com/a/b\n", "no branch"),
        (
            "repository:\n  url: http://github.com/a/b\n  branch: main\n",
            "expected https://github.com",
        ),
        (
            "repository:\n  url: https://github.com/a/b.git\n  branch: main\n",
            "without .git",
        ),
        (
            "repository:\n  url: https://github.com/a/b/\n  branch: main\n",
            "without a slash",
        ),
        (
            "repository:\n  url: https://github.com/a/b\n  branch: ''\n",
            "expected a branch",
        ),
    ],
)
def test_a_malformed_address_is_refused_in_words(
    tmp_path, monkeypatch, capsys, config, said
):
    (tmp_path / "_config.yml").write_text(config)
    monkeypatch.chdir(tmp_path)
    assert main(["repository", "--check"]) == 2
    assert said in capsys.readouterr().out


def test_outside_the_course_the_message_says_where_to_run(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["repository"]) == 2
    assert "run this command in the course's root folder" in capsys.readouterr().out


def bootstrapped(
    tmp_path: Path, *, colab: bool, lib: bool
) -> subprocess.CompletedProcess:
    """Run the bootstrap cell in a bare Python; `pip` is a stand-in that records its arguments and installs."""
    packages = tmp_path / "packages"
    packages.mkdir()
    installer = (
        "import pathlib, sys\n"
        f"here = pathlib.Path({str(packages)!r})\n"
        "(here / 'arguments').write_text(' '.join(sys.argv[1:]))\n"
        "(here / 'lib').mkdir()\n"
        "(here / 'lib' / '__init__.py').touch()\n"
        "(here / 'lib' / 'masks.py').touch()\n"
    )
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    (packages / "pip" / "__main__.py").write_text(installer)
    if colab:
        (packages / "google" / "colab").mkdir(parents=True)
        (packages / "google" / "colab" / "__init__.py").touch()
    if lib:
        (packages / "lib").mkdir()
        (packages / "lib" / "masks.py").touch()
    folder = tmp_path / "folder"
    (folder / "lib").mkdir(
        parents=True
    )  # another folder called lib, which `import lib` would find
    script = folder / "cell.py"
    script.write_text(bootstrap(OTHER))
    return subprocess.run(
        [sys.executable, "-S", script],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{packages}"},
        capture_output=True,
        text=True,
    )


def test_where_lib_is_installed_the_bootstrap_is_silent(tmp_path):
    done = bootstrapped(tmp_path, colab=True, lib=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "packages" / "arguments").exists()


def test_on_colab_the_bootstrap_installs_the_course_alone(tmp_path):
    done = bootstrapped(tmp_path, colab=True, lib=False)
    assert done.returncode == 0, done.stderr
    arguments = (tmp_path / "packages" / "arguments").read_text()
    assert arguments == f"install --quiet --no-deps git+{OTHER.url}@trunk"
    assert OTHER.url in done.stdout


def test_elsewhere_the_bootstrap_says_what_to_run(tmp_path):
    done = bootstrapped(tmp_path, colab=False, lib=False)
    assert done.returncode == 1
    assert "make lab" in done.stderr
    assert "pip install -r requirements.txt" in done.stderr
    assert not (tmp_path / "packages" / "arguments").exists()
