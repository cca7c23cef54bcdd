"""A learner's progress over all exercises: `python -m lib progress`, or `my_progress()` in a notebook.

A notebook keeps what its checks said, as the outputs of its cells. This module reads those outputs, from notebooks
that lie in a folder or were downloaded from Colab, and draws one page, a map of what is solved. Nothing of a notebook
is run. The page keeps the results too, so that an earlier page can be read like a notebook.
"""

import argparse
import importlib
import json
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from lib.grading import checks, progress_page, references
from lib.grading.feedback import BAR_LENGTH, HEADLINES, read_headline
from lib.grading.links import on_colab

PAGE = "my_progress.html"
# From the least to the most: the best result of a question counts, in whichever notebook it stands.
ORDER = ("unsolved", "broken", "wrong", "solved")


class Unreadable(ValueError):
    """Why a file tells nothing about the exercises."""


@dataclass(frozen=True)
class Progress:
    """What is solved. `results`: question → status, a key of HEADLINES; `sources`: question → file that says so.

    `exercises` are the modules of the exercises to show, `skipped` the files that could not be read, with the reason.
    """

    exercises: list[ModuleType]
    results: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def points(self, exercise: ModuleType) -> tuple[int, int]:
        """Points so far and in all of one exercise."""
        solved = [
            points
            for question, points in exercise.POINTS.items()
            if self.results.get(question) == "solved"
        ]
        return sum(solved), sum(exercise.POINTS.values())

    @property
    def next(self) -> tuple[ModuleType, str] | None:
        """Where to go on: the first question that was tried, else the first that is open; None when all is solved."""
        left = [
            (exercise, question)
            for exercise in self.exercises
            for question in exercise.POINTS
            if self.results.get(question) != "solved"
        ]
        tried = [entry for entry in left if self.results.get(entry[1]) == "wrong"]
        return next(iter(tried + left), None)

    def __repr__(self) -> str:
        lines = []
        for exercise in self.exercises:
            so_far, total = self.points(exercise)
            filled = BAR_LENGTH * so_far // total
            bar = "█" * filled + "░" * (BAR_LENGTH - filled)
            lines.append(
                f"Exercise {exercise.CHAPTER[:2]} {bar} {so_far} of {total} points · {exercise.TITLE}"
            )
            for question, title in exercise.TITLES.items():
                mark = HEADLINES[self.results.get(question, "unsolved")][0]
                lines.append(f"  {mark} {question} {title}")
        return "\n".join(lines) or "No check has been run in this notebook yet."

    def _repr_html_(self) -> str:
        return progress_page.part(self)

    def save(self, folder: str | Path = ".") -> None:
        """Write the page of all exercises into `folder`, with what the files there tell; on Colab, download it."""
        folder = Path(folder)
        everything = gather([folder])
        merge(everything, self.results.items())
        path = folder / PAGE
        path.write_text(progress_page.page(everything, folder), encoding="utf-8")
        print(f"{path} written: open it in a browser.")
        for line in everything.skipped:
            print(line)
        if on_colab():
            importlib.import_module("google.colab.files").download(str(path))


def all_exercises() -> list[ModuleType]:
    """The modules of all exercises of the course, in order."""
    names = sorted(module.name for module in pkgutil.iter_modules(references.__path__))
    return [importlib.import_module(f"{references.__name__}.{name}") for name in names]


def my_progress() -> Progress:
    """What the checks of this notebook have said; `my_progress().save()` writes the page of all exercises."""
    results = checks.results()
    touched = [e for e in all_exercises() if not results.keys().isdisjoint(e.POINTS)]
    return Progress(touched, results)


def merge(
    progress: Progress, results: Iterable[tuple[str, str]], source: Path | None = None
) -> None:
    """Enter results, where they are better than what is known; questions that the course does not have are left out."""
    known = {
        question for exercise in progress.exercises for question in exercise.POINTS
    }
    for question, status in results:
        before = progress.results.get(question)
        if question in known and (
            before is None or ORDER.index(status) > ORDER.index(before)
        ):
            progress.results[question] = status
            if source:
                progress.sources[question] = source


def gather(paths: Iterable[Path]) -> Progress:
    """The progress that notebooks and earlier pages tell; `paths` are such files, or folders that hold some."""
    progress = Progress(all_exercises())
    for path in _files(paths):
        try:
            merge(progress, read(path).items(), path)
        except Unreadable as error:
            progress.skipped.append(f"{path} skipped: {error}")
    return progress


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from (
            sorted([*path.glob("*.ipynb"), *path.glob("my_progress*.html")])
            if path.is_dir()
            else [path]
        )


def read(path: Path) -> dict[str, str]:
    """Question → status, as a notebook or an earlier page tells; Unreadable with the reason when it tells nothing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Unreadable(error.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise Unreadable("it is not a text file") from None
    try:
        if path.suffix == ".html":
            found = progress_page.stored_results(text)
        else:
            found = dict(filter(None, map(read_headline, _outputs(json.loads(text)))))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unreadable("it is damaged, or no notebook at all") from None
    if not found:
        raise Unreadable("it holds no result of a check of this course")
    return found


def _outputs(notebook: dict) -> Iterator[str]:
    """The text of every displayed output."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/plain", "")
            yield text if isinstance(text, str) else "".join(text)


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
    progress = gather(paths)
    for line in progress.skipped:
        print(line)
    if not progress.results:
        print(
            "No result found. Run the checks of an exercise, save the notebook, and try again."
        )
        return 1
    print(progress)
    out.write_text(progress_page.page(progress, out.parent), encoding="utf-8")
    print(f"{out} written: open it in a browser.")
    return 0
