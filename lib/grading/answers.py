"""The learner's side of a check: the names in the notebook, called and read without ever trusting them."""

import difflib
import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType, ModuleType

import numpy as np

from lib.grading import containment
from lib.grading.containment import Overheard, contained, with_settings
from lib.grading.faults import (
    Unsolved,
    Wrong,
    as_numbers,
    faults_in_words,
    kind,
)
from lib.masks import Mask

__all__ = ["Answers", "Unsolved", "Wrong"]

# What is called around an answer, and is no call of the answer itself.
OURS = {__name__, containment.__name__}
# Names that a notebook has without the learner: those of IPython.
OF_THE_NOTEBOOK = {"In", "Out", "exit", "quit", "open", "get_ipython"}


class Answers:
    """The learner's names in this kernel. Nothing else of the learner's is ever touched by a check.

    Only names, arrays, numbers and text go in and out, so that a worker in another process can stand here. `course`
    has the names that the exercise itself defines: no learner made them.
    """

    def __init__(self, namespace: Mapping[str, object], course: Container[str] = ()):
        self._namespace = namespace
        self._course = course
        self._settings = containment.settings_now()
        self.used: dict[str, object] = {}  # what the check has looked up so far
        self.overheard = Overheard()

    def look_up(self, name: str) -> object:
        """The learner's object of that name; Unsolved while it is the stub, Wrong when there is none."""
        if name not in self._namespace:
            close = difflib.get_close_matches(name, self._own_names(), n=1)
            guess = f" Did you rename it to `{close[0]}`?" if close else ""
            raise Wrong(
                f"There is no `{name}` in this notebook. Did you run the cell that defines it?{guess} The check asks "
                "for that very name."
            )
        if self._namespace[name] is ...:
            raise Unsolved(name)
        self.used[name] = self._namespace[name]
        return self.used[name]

    def _own_names(self) -> list[str]:
        """The names that the learner has made: none of the course, of a module, or of what a check has shown."""
        return [
            name
            for name, thing in self._namespace.items()
            if not name.startswith("_")
            and name not in self._course
            and name not in OF_THE_NOTEBOOK
            and not isinstance(thing, ModuleType)
            and not _of_the_course(thing)
        ]

    def call(
        self, name: str, arguments: tuple, *, lib_counts: bool = True
    ) -> np.ndarray:
        """Result of the learner's function on copies of `arguments`: an array of numbers, of the type it came in.

        Of a function among the arguments it gets a handle, which can be called and tells nothing else. What it
        prints, draws and asks for stays inside; `overheard` knows of it.
        """
        function = self.look_up(name)
        if not callable(function):
            raise Wrong(f"`{name}` should be a function, but it is {kind(function)}.")
        copies = tuple(map(_handed_over, arguments))
        with self.at_work(name):
            with _modules_entered() as modules:
                returned = function(*copies)
            result = as_numbers(returned, f"`{name}` returned")
        for position, (before, after) in enumerate(zip(arguments, copies, strict=True)):
            if isinstance(before, np.ndarray) and not np.array_equal(
                before, after, equal_nan=True
            ):
                raise Wrong(
                    f"`{name}` changed its argument number {position + 1} in place. Whoever calls a function does "
                    "not expect that: make a new array, for example with `x = x + 1` and not `x += 1`.",
                )
        if not lib_counts and any(
            module.split(".")[0] == "lib" for module in modules - OURS
        ):
            raise Wrong(
                f"`{name}` calls the course's package `lib`. In this question, write it yourself."
            )
        return result

    @contextmanager
    def at_work(self, name: str) -> Iterator[None]:
        """Around code of the answer `name`: faults become sentences, what it prints and draws stays inside."""
        with (
            faults_in_words(name, self._namespace.get(name)),
            with_settings(self._settings),
            contained(name, self.overheard),
        ):
            yield

    def made(self, name: str) -> object:
        """What the learner's function, or class, `name` makes of nothing, or the thing of that name; not a number yet.

        Only `lib.grading.handles` may touch it.
        """
        answer = self.look_up(name)
        if not isinstance(answer, FunctionType | type):
            return answer
        with self.at_work(name):
            made = answer()
        if made is ...:
            raise Unsolved(name)
        return made

    def text(self, name: str, *, default: str) -> str:
        """The learner's text or number of that name, as text; `default` when it is missing or the stub."""
        answer = self._namespace.get(name, ...)
        if answer is ... or answer is None:
            return default
        if not isinstance(answer, str | int):
            raise Wrong(
                f"`{name}` should be a text, such as your name; it is {kind(answer)}."
            )
        return str(answer).strip()

    def value(self, name: str, *, length: int | None = None) -> np.ndarray:
        """The learner's number, list or array of that name, as an array; of masks those for so many positions."""
        answer = self.look_up(name)
        with faults_in_words(name, answer):
            if length is not None:
                answer = _drawn(answer, length)
            return as_numbers(answer, f"`{name}` is")

    def values(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        """The learner's tuple or list of that name: `count` arrays that may have different shapes."""
        answer = self.look_up(name)
        if not isinstance(answer, (tuple, list)) or len(answer) != count:
            raise Wrong(
                f"`{name}` should be a tuple of {count} arrays, but it is {kind(answer)}."
            )
        with faults_in_words(name, answer):
            return tuple(
                as_numbers(part, f"Part {n} of `{name}` is")
                for n, part in enumerate(answer, start=1)
            )


def _drawn(answer: object, length: int) -> object:
    """The answer, with an array for `length` positions in place of a mask, or of each mask in a list of layers."""
    if isinstance(answer, Mask):
        return answer.dense(length)
    if isinstance(answer, (tuple, list)) and any(
        isinstance(part, Mask) for part in answer
    ):
        return [_drawn(part, length) for part in answer]
    return answer


def _of_the_course(thing: object) -> bool:
    """Whether `lib` defines it, or it is a result that a check of `lib` has left."""
    home = getattr(thing, "__module__", None) or type(thing).__module__
    return str(home).split(".")[0] == "lib"


def _handed_over(argument: object) -> object:
    """What the learner's function gets: of an array a copy, of a function a handle.

    What goes on behind the handle is the course's own affair: it may call `lib`.
    """
    if isinstance(argument, np.ndarray):
        return np.array(argument)
    if not isinstance(argument, FunctionType):
        return argument

    def handle(*given):
        watching = sys.getprofile()
        sys.setprofile(None)
        try:
            return argument(*given)
        finally:
            sys.setprofile(watching)

    return handle


@contextmanager
def _modules_entered() -> Iterator[set[str]]:
    """Collect the names of the modules whose Python functions are called meanwhile."""
    modules: set[str] = set()
    before = sys.getprofile()
    sys.setprofile(
        lambda frame, event, _: modules.add(str(frame.f_globals.get("__name__")))
    )
    try:
        yield modules
    finally:
        sys.setprofile(before)
