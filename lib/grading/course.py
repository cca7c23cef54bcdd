"""The checks of one exercise as an instructor runs them: those of the notebook, its hidden ones, and private ones."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nbformat

from lib.grading.checks import CheckFunction
from lib.grading.exercises import exercise_of
from lib.grading.solutions import checks_in


class NoCourse(ValueError):
    """Why there is nothing to grade with."""


@dataclass(frozen=True)
class Asked:
    """One check: its function, its question, and the other words of its decorator."""

    function: CheckFunction
    question: str
    settings: dict[str, object]

    @property
    def hidden(self) -> bool:
        return bool(self.settings.get("hidden"))


@dataclass(frozen=True)
class Course:
    """An exercise and all its checks, those that a learner sees first.

    `version` changes when any of it does; a check that `needs_torch` has it loaded once for all learners.
    """

    exercise: ModuleType
    checks: tuple[Asked, ...]
    version: str
    needs_torch: bool

    @property
    def number(self) -> str:
        return self.exercise.CHAPTER[:2]


def course_of(number: str, root: Path, hidden: Path | None = None) -> Course:
    """The exercise of that number, from the clone in `root`, with private checks from `NN….py` in `hidden`."""
    paths = sorted((root / "solutions").glob(f"{number}_*.ipynb"))
    if not paths:
        known = sorted(path.name[:2] for path in (root / "solutions").glob("*.ipynb"))
        raise NoCourse(
            f"--exercise: expected one of {', '.join(known)}; got {number}"
            if known
            else f"no solution notebooks in {root / 'solutions'}: grading needs a clone of the course"
        )
    exercise = exercise_of(f"{int(number)}.1")
    notebook = nbformat.read(paths[0], as_version=4)
    sources = [cell.source for cell, _ in checks_in(notebook)]
    public = [asked for source in sources for asked in _checks(source, exercise, {})]
    files = sorted(hidden.glob(f"{number}*.py")) if hidden else []
    if hidden and not files:
        raise NoCourse(f"--hidden: {hidden} holds no file {number}….py with checks")
    private = [
        asked
        for file in files
        for asked in _checks(
            file.read_text(encoding="utf-8"), exercise, {"hidden": True}, file
        )
    ]
    for asked in private:
        if asked.question not in exercise.POINTS:
            raise NoCourse(
                f"--hidden: there is no question {asked.question} in exercise {number}"
            )
    # The hidden ones come last: an answer must not be able to tell, to a check that shows what it says, what it was
    # asked by one that does not.
    checks = sorted([*public, *private], key=lambda asked: asked.hidden)
    texts = [*sources, *(file.read_text(encoding="utf-8") for file in files)]
    used = [*texts, Path(str(exercise.__file__)).read_text(encoding="utf-8")]
    version = hashlib.sha256("\0".join([*texts, *_sources_of_lib()]).encode())
    needs_torch = any("import torch" in text for text in used)
    return Course(exercise, tuple(checks), version.hexdigest(), needs_torch)


def _sources_of_lib() -> Iterable[str]:
    """The package itself: when it changes, submissions are graded anew."""
    root = Path(__file__).resolve().parents[1]
    return (path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py")))


def _checks(
    source: str, exercise: ModuleType, ours: dict, file: Path | None = None
) -> list[Asked]:
    """The checks that a cell, or a file, defines; it is our own code. `ours` stands before what its decorators say."""
    found: list[Asked] = []

    def check(question: str, **settings) -> Callable[[CheckFunction], None]:
        return lambda function: found.append(Asked(function, question, settings | ours))

    code = compile(source, str(file or "check"), "exec")
    exec(code, {**vars(exercise), "check": check})
    return found
