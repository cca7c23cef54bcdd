"""The record of a learner's progress: what the checks said, read from notebooks and from earlier pages.

A notebook keeps what its checks said, as the outputs of its cells. They are read here, from notebooks that lie in a
folder or were downloaded from Colab; nothing of a notebook is run.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from lib.grading.exercises import all_exercises
from lib.grading.feedback import HEADLINES, Mark, bar, read_headline

# From the least to the most, where the points are the same.
ORDER = ("unsolved", "broken", "wrong", "solved")
OPEN = Mark("unsolved")
STORED = re.compile(
    r'<script type="application/json" id="results">(.*?)</script>', re.DOTALL
)


class Unreadable(ValueError):
    """Why a file tells nothing about the exercises."""


@dataclass(frozen=True)
class Record:
    """What is solved. `results`: question → its best mark; `sources`: question → file that says so.

    `exercises` are the modules of the exercises to show, `skipped` the files that could not be read, with the reason.
    """

    exercises: list[ModuleType]
    results: dict[str, Mark] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def mark(self, question: str) -> Mark:
        """What is known about a question."""
        return self.results.get(question, OPEN)

    def points(self, exercise: ModuleType) -> tuple[int, int]:
        """Points so far and in all of one exercise."""
        so_far = sum(self.mark(question).points for question in exercise.POINTS)
        return so_far, sum(exercise.POINTS.values())

    @property
    def next(self) -> tuple[ModuleType, str] | None:
        """Where to go on: the first question that was tried, else the first that is open; None when all is solved."""
        left = [
            (exercise, question)
            for exercise in self.exercises
            for question in exercise.POINTS
            if self.mark(question).status != "solved"
        ]
        tried = [
            (exercise, question)
            for exercise, question in left
            if self.mark(question).status == "wrong" or self.mark(question).points
        ]
        return next(iter(tried + left), None)

    def __repr__(self) -> str:
        lines = []
        for exercise in self.exercises:
            so_far, total = self.points(exercise)
            lines.append(
                f"Exercise {exercise.CHAPTER[:2]} {bar(so_far, total)} {so_far} of {total} points · {exercise.TITLE}"
            )
            for question, title in exercise.TITLES.items():
                sign = HEADLINES[self.mark(question).status][0]
                lines.append(f"  {sign} {question} {title}")
        return "\n".join(lines) or "No check has been run in this notebook yet."

    def enter(
        self, results: Iterable[tuple[str, Mark]], source: Path | None = None
    ) -> None:
        """Enter marks that are better than what is known; questions that the course does not have are left out."""
        known = {
            question for exercise in self.exercises for question in exercise.POINTS
        }
        for question, mark in results:
            before = self.results.get(question)
            if question in known and (
                before is None or _height(mark) > _height(before)
            ):
                self.results[question] = mark
                if source:
                    self.sources[question] = source


def _height(mark: Mark) -> tuple[int, int]:
    return mark.points, ORDER.index(mark.status)


def gather(paths: Iterable[Path]) -> Record:
    """The record that notebooks and earlier pages tell; `paths` are such files, or folders that hold some."""
    record = Record(all_exercises())
    for path in _files(paths):
        try:
            record.enter(read(path).items(), path)
        except Unreadable as error:
            record.skipped.append(f"{path} skipped: {error}")
    return record


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from (
            sorted([*path.glob("*.ipynb"), *path.glob("my_progress*.html")])
            if path.is_dir()
            else [path]
        )


def read(path: Path) -> dict[str, Mark]:
    """Question → mark, as a notebook or an earlier page tells; Unreadable with the reason when it tells nothing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Unreadable(error.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise Unreadable("it is not a text file") from None
    try:
        if path.suffix == ".html":
            found = _stored_in(text)
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


def stored(results: dict[str, Mark]) -> str:
    """The results as a page keeps them."""
    return json.dumps(results, sort_keys=True)


def _stored_in(page: str) -> dict[str, Mark]:
    """The results that a page keeps; ValueError when it keeps none, or what is no result."""
    found = STORED.search(page)
    if not found:
        raise ValueError("no results")
    results = {question: Mark(*mark) for question, mark in json.loads(found[1]).items()}
    for status, points in results.values():
        if status not in HEADLINES or not isinstance(points, int):
            raise ValueError("no result")
    return results
