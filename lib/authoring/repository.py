"""The repository's address: it stands in `_config.yml` alone, and this module writes it everywhere else.

``python -m lib repository`` writes the Colab badge, the bootstrap cell, the links to Colab and the runtime of every
notebook, and the lines of the project's pages that name the address. With ``--check`` it changes nothing and lists
each place that differs.
"""

import argparse
import copy
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell

from lib.authoring import derived

NOTEBOOK_FOLDERS = ("notebooks", "exercises", "solutions")

BADGE_ID, BOOTSTRAP_ID = "colab-badge", "bootstrap"

# A link between notebooks is relative, and so it leads nowhere on Colab. An author who writes ` ([Colab]())` behind
# it gets the address of the same notebook there.
LINK_WITH_COLAB = re.compile(
    r"(?P<link>\]\(\.\./(?P<path>\w+/\w+\.ipynb)[^)\s]*\)) \(\[Colab\]\([^)]*\)\)"
)

# Cell metadata that folds the source away in JupyterLab and on Colab; a click unfolds it.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}

# The numbers of the notebooks that ask Colab for a GPU, and how they ask.
ON_A_GPU = (5, 9)
GPU = {"accelerator": "GPU", "colab": {"gpuType": "T4"}}

BOOTSTRAP = """\
# Finds the course's package, `lib`. On Colab it installs the package first;
# numpy and torch stay as they are.
import importlib
import subprocess
import sys

try:
    importlib.import_module("lib.masks")
except ImportError as missing:
    try:
        importlib.import_module("google.colab")
    except ImportError:
        raise ImportError(
            f"The course's package lib cannot be imported ({{missing}}). Run `make lab` "
            "in the course's folder, or `pip install -r requirements.txt`, and open "
            "the notebook again. README.md has the details."
        ) from missing
    course = "git+{url}@{branch}"
    print(f"Installing the course from {{course}} …")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", course]
    subprocess.run(install, check=True)
    for name in [name for name in sys.modules if name.partition(".")[0] == "lib"]:
        del sys.modules[name]  # half an import, or another folder called lib
    importlib.invalidate_caches()
    importlib.import_module("lib.masks")"""


@dataclass(frozen=True)
class Address:
    """Where the repository is published: https://github.com/<owner>/<name>, and the branch that readers get."""

    url: str
    branch: str

    def __post_init__(self):
        if not re.fullmatch(
            r"https://github\.com/[\w.-]+/[\w.-]+", self.url
        ) or self.url.endswith(".git"):
            raise ValueError(
                f"_config.yml: repository.url is {self.url!r}; expected https://github.com/<owner>/<name>, "
                "without .git and without a slash at the end"
            )
        if not re.fullmatch(r"[\w./-]+", self.branch):
            raise ValueError(
                f"_config.yml: repository.branch is {self.branch!r}; expected a branch such as main"
            )

    @property
    def owner(self) -> str:
        return self.url.split("/")[-2]

    @property
    def name(self) -> str:
        return self.url.split("/")[-1]

    @property
    def book(self) -> str:
        """Where GitHub Pages publishes the book."""
        return f"https://{self.owner.lower()}.github.io/{self.name}/"

    @property
    def pdf(self) -> str:
        """Where the workflow publishes the book as one file (book/_ext/pdf.py)."""
        return f"{self.book}masking-the-future.pdf"

    def colab(self, path: str) -> str:
        """The address that opens the notebook at `path` (from the root, with forward slashes) in Colab."""
        return f"https://colab.research.google.com/github/{self.owner}/{self.name}/blob/{self.branch}/{path}"


def read_address(root: Path) -> Address:
    """The address in `root`/_config.yml; ValueError when it is missing or malformed."""
    config = root / "_config.yml"
    if not config.exists():
        raise ValueError(
            f"{config} does not exist: run this command in the course's root folder"
        )
    repository = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}).get(
        "repository"
    ) or {}
    if missing := [
        key for key in ("url", "branch") if not isinstance(repository.get(key), str)
    ]:
        raise ValueError(f"_config.yml: repository has no {' and no '.join(missing)}")
    return Address(repository["url"], repository["branch"])


def badge(path: str, address: Address) -> str:
    """The first cell of the notebook at `path`. A text link: a picture would be a request to another site."""
    return f"**[Open in Colab]({address.colab(path)})** · runs in your browser, nothing to install"


def bootstrap(address: Address) -> str:
    """The second cell of every notebook: silent where `lib` is installed, installs it on Colab."""
    return BOOTSTRAP.format(url=address.url, branch=address.branch)


def with_colab_links(
    notebook: nbformat.NotebookNode, address: Address
) -> nbformat.NotebookNode:
    """A copy of `notebook` in which every `[Colab](…)` behind a link has the address of the linked notebook."""

    def twin(found: re.Match) -> str:
        return f"{found['link']} ([Colab]({address.colab(found['path'])}))"

    written = copy.deepcopy(notebook)
    for cell in written.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK_WITH_COLAB.sub(twin, cell.source)
    return written


def with_first_cells(
    notebook: nbformat.NotebookNode, path: str, address: Address
) -> nbformat.NotebookNode:
    """A copy of `notebook` that opens with its badge and the bootstrap cell; the other cells are untouched."""
    executed = [
        cell.execution_count for cell in notebook.cells if cell.id == BOOTSTRAP_ID
    ]
    first = new_markdown_cell(badge(path, address), id=BADGE_ID)
    second = new_code_cell(
        bootstrap(address),
        id=BOOTSTRAP_ID,
        metadata={"tags": ["bootstrap"], **FOLDED},
    )
    second.execution_count = executed[0] if executed else None
    others = [
        cell for cell in notebook.cells if cell.id not in (BADGE_ID, BOOTSTRAP_ID)
    ]
    return nbformat.NotebookNode({**notebook, "cells": [first, second, *others]})


def runtime(path: str) -> dict:
    """The metadata by which the notebook at `path` asks Colab for a GPU, or nothing where a CPU will do."""
    return GPU if int(Path(path).name[:2]) in ON_A_GPU else {}


def with_runtime(notebook: nbformat.NotebookNode, path: str) -> nbformat.NotebookNode:
    """A copy of `notebook` that asks Colab for the runtime that the notebook at `path` has use for."""
    others = {key: value for key, value in notebook.metadata.items() if key not in GPU}
    metadata = nbformat.from_dict({**others, **runtime(path)})
    return nbformat.NotebookNode({**notebook, "metadata": metadata})


def derived_lines(address: Address) -> list[tuple[str, str, str]]:
    """(file, pattern, text): in that file every match of the pattern must read exactly like the text."""
    first = "notebooks/01_weighted_values.ipynb"
    return [
        ("README.md", r"git clone https\S+", f"git clone {address.url}"),
        ("README.md", r"git\+https[^`\s]+", f"git+{address.url}"),
        ("README.md", r"(?<=^cd )\S+", address.name),
        ("book/how_to_study.md", r"git clone https\S+", f"git clone {address.url}"),
        ("book/how_to_study.md", r"(?<=^cd )\S+", address.name),
        ("README.md", r"^\[repository\]: .*", f"[repository]: {address.url}"),
        ("README.md", r"^\[book\]: .*", f"[book]: {address.book}"),
        ("README.md", r"^\[pdf\]: .*", f"[pdf]: {address.pdf}"),
        ("book/index.md", r"^\[pdf\]: .*", f"[pdf]: {address.pdf}"),
        ("README.md", r"^\[colab\]: .*", f"[colab]: {address.colab(first)}"),
        ("CITATION.cff", r"^repository-code: .*", f"repository-code: {address.url}"),
        ("CITATION.cff", r"^url: .*", f"url: {address.book}"),
        ("pyproject.toml", r"^Repository = .*", f'Repository = "{address.url}"'),
        ("pyproject.toml", r"^Documentation = .*", f'Documentation = "{address.book}"'),
        (
            "lib/grading/links.py",
            r"^COLAB = .*",
            f'COLAB = "{address.colab("")}"',
        ),
        ("lib/grading/links.py", r"^BOOK = .*", f'BOOK = "{address.book}"'),
        (
            ".github/workflows/book.yml",
            r"^    branches: .*",
            f"    branches: [{address.branch}]",
        ),
    ]


def wanted_texts(root: Path) -> tuple[dict[Path, str], list[str]]:
    """What each file that differs from the address should hold, and the places that cannot be written."""
    address = read_address(root)
    wanted: dict[Path, str] = {}
    faults = []
    for name, pattern, text in derived_lines(address):
        path = root / name
        before = wanted.get(path) or path.read_text(encoding="utf-8")
        after, count = re.subn(
            pattern, lambda _, text=text: text, before, flags=re.MULTILINE
        )
        if after != before:
            wanted[path] = after
        if count == 0:
            faults.append(
                f"{name}: no line matches {pattern!r}; write one that reads: {text}"
            )
    for folder in NOTEBOOK_FOLDERS:
        for path in sorted((root / folder).glob("*.ipynb")):
            before = nbformat.read(path, 4)
            name = f"{folder}/{path.name}"
            opened = with_runtime(with_first_cells(before, name, address), name)
            after = with_colab_links(opened, address)
            if after != before:
                wanted[path] = nbformat.writes(after) + "\n"
    return wanted, faults


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m lib repository``."""
    parser.epilog = "Change repository.url and repository.branch in _config.yml, then run this in the root folder."
    derived.add_check(parser)


def main(arguments: argparse.Namespace) -> int:
    """Write, or with --check list, every place that differs from the address; 0 when nothing is left to do."""
    root = Path.cwd()
    try:
        wanted, faults = wanted_texts(root)
    except ValueError as error:
        print(error)
        return 2
    faults += derived.settle(wanted, root, "repository", check=arguments.check)
    return derived.report(
        faults,
        "Every badge, bootstrap cell and project page has the address of _config.yml.",
    )
