"""Run the notebooks and normalise what is stored, or check them: ``python -m lib notebooks --run | --check``.

A committed notebook holds exactly what a fresh kernel produced, top to bottom, as text and PNG. So GitHub, Colab
and JupyterLab show a full page, and two runs differ only where a result differs.
"""

import argparse
import copy
import os
import re
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import v4

from lib.authoring.notebook_page import Page
from lib.authoring.notebook_rules import broken_rules
from lib.authoring.repository import FOLDED, GPU, NOTEBOOK_FOLDERS, read_address
from lib.explore import BOOK_FOLDER
from lib.grading.solutions import tags

KERNELSPEC = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT = 120  # seconds
RUN_FAILURES = (CellControlSignal, DeadKernelError)
# Of a cell's metadata; the last two fold its source in JupyterLab and on Colab, as these tags do in the book.
KEPT = ("tags", "jupyter", "cellView")
FOLDING = {"hide-input", "hide-cell"}


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """A copy of `notebook` with the outputs of a fresh kernel that runs in `folder`.

    Raises nbclient's CellExecutionError at the first failing cell, CellTimeoutError after 120 s in one cell.
    """
    executed = copy.deepcopy(notebook)
    client = NotebookClient(
        executed,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        store_widget_state=False,
        record_timing=False,
    )
    # The book sets this variable to have `explore` write HTML; a committed notebook never holds that.
    environment = {
        name: value for name, value in os.environ.items() if name != BOOK_FOLDER
    }
    client.execute(env=environment)
    return executed


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of `notebook` without what differs between machines and editors, and without widgets.

    Kept: sources, cell ids, tags, execution counts, outputs but for their widget views, and that Colab is asked for
    a GPU. A cell that a tag folds in the book is folded in JupyterLab and on Colab too.
    """
    plain = copy.deepcopy(notebook)
    asked = GPU if plain.metadata.get("accelerator") == GPU["accelerator"] else {}
    plain.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}, **asked}
    )
    plain.nbformat, plain.nbformat_minor = 4, 5
    for cell in plain.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in KEPT if key in cell.metadata}
        )
        if tags(cell) & FOLDING:
            cell.metadata.update(FOLDED)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return plain


def run(path: Path) -> None:
    """Execute the notebook at `path` in its own folder and store the normalised result in its place."""
    executed = normalise(execute(nbformat.read(path, 4), path.parent))
    nbformat.write(executed, path)


def problems(path: Path) -> list[str]:
    """What breaks the rules in the notebook at `path`, one sentence each; see `lib.authoring.notebook_rules`."""
    root = path.resolve().parent.parent
    text = path.read_text(encoding="utf-8")
    notebook = v4.reads(text)  # nbformat.read would mend faulty ids without a word
    page = Page(root, path.resolve().relative_to(root), notebook, read_address(root))
    faults = broken_rules(page)
    if text != v4.writes(normalise(notebook)) + "\n":
        faults.append(
            "it is not stored in normalised form: run `python -m lib notebooks --run`"
        )
    return faults


def find(paths: list[Path]) -> list[Path]:
    """The notebooks named by `paths`, files or folders; all of the course's when there are none."""
    found = []
    for path in paths or [
        Path(folder) for folder in NOTEBOOK_FOLDERS if Path(folder).is_dir()
    ]:
        if not path.exists():
            raise ValueError(
                f"{path} does not exist; expected a notebook or a folder of notebooks"
            )
        found += sorted(path.glob("*.ipynb")) if path.is_dir() else [path]
    if not found:
        raise ValueError(
            "no notebook found: run this command in the course's root folder, or name notebooks"
        )
    return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m lib notebooks``."""
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--run",
        dest="execute",
        action="store_true",
        help="execute each notebook and store what it shows",
    )
    action.add_argument(
        "--check",
        action="store_true",
        help="change nothing; list what breaks the rules",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="notebooks or folders; without any, all of the course's",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run or check the notebooks; 0 when every one is well."""
    try:
        paths = find(arguments.paths)
    except ValueError as error:
        print(error)
        return 2
    failures = 0
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path}", end=" … ", flush=True)
        faults = run_and_report(path) if arguments.execute else problems(path)
        print("\n  ".join(["", *faults]) if faults else "ok")
        failures += bool(faults)
    print(f"{len(paths) - failures} of {len(paths)} notebooks are well.")
    return 1 if failures else 0


def run_and_report(path: Path) -> list[str]:
    """Run one notebook; what went wrong, if anything did. A notebook that fails is left as it was."""
    started = time.monotonic()
    try:
        run(path)
    except RUN_FAILURES as error:
        return failure_lines(error)
    print(f"{time.monotonic() - started:.0f} s", end=" ", flush=True)
    return []


def failure_lines(error: Exception) -> list[str]:
    """What a failed run says, without the colours meant for a terminal."""
    return re.sub(r"\x1b\[[\d;]*m", "", str(error)).splitlines()
