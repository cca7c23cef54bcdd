"""A learner's progress over all exercises: `python -m lib progress`, or `my_progress()` in a notebook.

It draws one page, a map of what is solved. The page keeps the results too, so that an earlier page can be read like a
notebook; see `lib.grading.record`.
"""

import argparse
import importlib
from pathlib import Path

from lib.grading import checks, progress_page
from lib.grading.exercises import all_exercises
from lib.grading.links import on_colab
from lib.grading.record import Record, gather

PAGE = "my_progress.html"


class Progress(Record):
    """A record that shows itself in a notebook as a map, and can write the page of all exercises."""

    def _repr_html_(self) -> str:
        return progress_page.part(self)

    def save(self, folder: str | Path = ".") -> None:
        """Write the page of all exercises into `folder`, with what the files there tell; on Colab, download it."""
        folder = Path(folder)
        everything = gather([folder])
        everything.enter(self.results.items())
        path = folder / PAGE
        path.write_text(progress_page.page(everything, folder), encoding="utf-8")
        print(f"{path} written: open it in a browser.")
        for line in everything.skipped:
            print(line)
        if on_colab():
            importlib.import_module("google.colab.files").download(str(path))


def my_progress() -> Progress:
    """What the checks of this notebook have said; `my_progress().save()` writes the page of all exercises."""
    results = checks.results()
    touched = [e for e in all_exercises() if not results.keys().isdisjoint(e.POINTS)]
    return Progress(touched, results)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.epilog = (
        "Reads what the checks said in your saved notebooks; runs nothing. From Colab, download the notebooks "
        "(File > Download > Download .ipynb) or the page that my_progress().save() gave you, and name their folder."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="notebooks, earlier pages, or folders of them; without any, this folder and its folder exercises",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(PAGE),
        help=f"the page to write, or the folder for it (without this option, {PAGE})",
    )


def main(arguments: argparse.Namespace) -> int:
    """Draw the page and a summary; 1 when no result was found, 2 when a path does not exist."""
    folders = [Path(), *filter(Path.is_dir, [Path("exercises")])]
    paths = arguments.paths or folders
    if missing := [path for path in paths if not path.exists()]:
        print(f"{missing[0]} does not exist; name a notebook or a folder of notebooks")
        return 2
    out = arguments.out / PAGE if arguments.out.is_dir() else arguments.out
    if not out.parent.is_dir():
        print(f"--out: there is no folder {out.parent}; make it first, or name another")
        return 2
    record = gather(paths)
    for line in record.skipped:
        print(line)
    if not record.results:
        print(
            "No result found. Run the checks of an exercise, save the notebook, and try again."
        )
        return 1
    print(record)
    out.write_text(progress_page.page(record, out.parent), encoding="utf-8")
    print(f"{out} written: open it in a browser.")
    return 0
