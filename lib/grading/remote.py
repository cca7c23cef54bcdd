"""A learner's answers as the grader sees them: every question goes to the worker, and what comes back is checked.

`RemoteStudent` and `RemoteAnswers` stand in the place of `Student` and `Answers`, so that a check of a notebook grades
a submission as it is. A fault of the worker, whatever it is, costs the answer that was asked for.
"""

import re
import time
from collections.abc import Sequence
from types import FunctionType

import numpy as np

from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.handles import LONGEST_JSON, copied
from lib.grading.sandbox import Sandbox, end
from lib.grading.student import Student
from lib.grading.wire import WAITING, BadMessage, Gone, TooLate, checked, texts
from lib.masks import Mask

LARGEST_INPUT = (
    2**20
)  # numbers in an input that a learner finds, or hands to a function of the course
GRACE = 2.0  # seconds that the worker has to stop by itself
ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # differs from run to run
TOLD = 2000


def legible(text: object) -> str:
    """A text of the worker's, fit for a file: of limited length, the same in every run, without lone surrogates."""
    clean = ADDRESS.sub("0x…", str(text)[:TOLD])
    return "".join(c for c in clean if c in "\n\t" or c.isprintable())


class Notebook:
    """A learner's notebook in a worker: its cells are run once, and again whenever the worker had to be replaced.

    `notes` tell which cells failed. A cell or an answer that ended the worker is not tried a second time.
    """

    def __init__(
        self,
        cells: Sequence[str],
        course: Sequence[str],
        sandbox: Sandbox,
        *,
        seconds: float,
        in_all: float,
    ):
        self._cells, self._course, self._sandbox = list(cells), list(course), sandbox
        self._seconds = seconds
        self._until = time.monotonic() + WAITING * in_all
        self._question_until = self._cells_until = self._until
        self._fatal: dict[int, str] = {}
        self._dead: dict[str, str] = {}
        self._worker = None
        self.starts = 0
        self.notes: dict[int, str] = {}
        self.busy = False  # while it waits for the worker, which has limits of its own

    def close(self) -> None:
        """End the worker."""
        if self._worker:
            end(*self._worker)
            self._worker = None

    def begin_check(self, seconds: float) -> None:
        """A new check, whose questions together may take so long."""
        self._question_until = min(time.monotonic() + WAITING * seconds, self._until)
        self._ready()
        try:
            self._exchange({"do": "begin", "course": self._course}, self._seconds)
        except (
            Gone,
            TooLate,
            BadMessage,
        ):  # something that an earlier answer left behind
            self.close()
            self._ready()

    def _ready(self) -> None:
        """See to it that a worker is there that has run every cell that it can."""
        while self._worker is None:
            self.starts += 1
            self._worker = self._sandbox.start()
            try:
                # The first answer waits for Python to load.
                self._exchange({"do": "begin", "course": self._course}, 60)
            except (Gone, TooLate, BadMessage):
                self.close()
                raise RuntimeError("the worker does not start") from None
            self._run_cells()

    def _run_cells(self) -> None:
        """Run the cells in their order, then once more those that missed a name which a later cell has defined."""
        now = time.monotonic()
        self._cells_until = now + (self._until - now) / 2  # the rest is for the answers
        missed = dict.fromkeys(range(len(self._cells)), "")
        while missed and self._worker:
            before = len(missed)
            missed = self._pass(missed)
            if len(missed) == before:
                return

    def _pass(self, cells: dict[int, str]) -> dict[int, str]:
        """Run these cells; those that missed a name, and which."""
        missed = {}
        for number, name in cells.items():
            if number in self._fatal:
                continue
            if time.monotonic() > self._cells_until:
                self.notes[number] = "was not run: the time for this notebook is over"
                continue
            request = {"do": "cell", "source": self._cells[number], "after": name}
            try:
                told = self._exchange(
                    request | {"seconds": self._seconds}, self._seconds
                )
                error, lacks = checked_cell(told)
            except (Gone, TooLate, BadMessage) as fault:
                self._fatal[number] = self.notes[number] = in_words(
                    fault, self._seconds
                )
                self.close()
                return {}
            self.notes.pop(number, None)
            if error:
                self.notes[number] = f"stopped with {legible(error)}"
            if lacks:
                missed[number] = lacks
        return missed

    def _exchange(self, request: dict, seconds: float, functions=()) -> dict:
        """Send a request, and call what the worker wants called meanwhile, until the answer comes."""
        _, channel = self._worker
        until = time.monotonic() + WAITING * seconds + GRACE
        self.busy = True
        try:
            channel.send(request, until=until)
            while True:
                answer = channel.receive(until=until)
                if "function" not in answer:
                    return answer
                channel.send(called(functions, answer), until=until)
        finally:
            self.busy = False

    def ask(self, name: str, method: str, *arguments, **keywords) -> dict:
        """What the worker answers about the learner's `name`; Wrong or Unsolved where there is nothing to judge."""
        if name in self._dead:
            raise Wrong(self._dead[name])
        self._ready()
        seconds = min(self._seconds, self._question_until - time.monotonic())
        if seconds <= 0:
            raise Wrong(
                "The time for this question is over: its other answers took too long."
            )
        functions = [a for a in arguments if isinstance(a, FunctionType)]
        given = [
            {"function": functions.index(a)} if isinstance(a, FunctionType) else a
            for a in arguments
        ]
        request = {"do": "ask", "name": name, "method": method, "seconds": seconds}
        request |= {"arguments": given, "keywords": keywords}
        try:
            answer = self._exchange(request, seconds, functions)
        except (Gone, TooLate, BadMessage) as fault:
            raise self.lost(name, fault, seconds) from None
        if answer.get("unsolved") is True:
            raise Unsolved(name)
        if "wrong" in answer:
            why = legible(answer["wrong"])
            if answer.get("late") is True:
                self._dead[name] = why
            raise Wrong(why)
        return answer

    def lost(self, name: str, fault: Exception, seconds: float = 0) -> Wrong:
        """The answer `name` has ended the worker, or made it useless: it is not asked for again."""
        self.close()
        self._dead[name] = f"`{name}` {in_words(fault, seconds)}"
        return Wrong(self._dead[name])


def in_words(fault: Exception, seconds: float) -> str:
    """What a cell or an answer did to its worker."""
    if isinstance(fault, TooLate):
        return (
            f"gave no result within {seconds:.0f} s. Is there a loop that never ends?"
        )
    if isinstance(fault, Gone):
        return "ended Python itself, as a crash or `os._exit` does."
    return f"gave what cannot be judged: {fault}."


def checked_cell(answer: dict) -> tuple[str, str]:
    """What the worker tells of a cell: its error, and the name that it missed."""
    [error, missed] = texts([answer.get("error"), answer.get("missed")], 2, 2**20)
    return error, missed


def called(functions: Sequence, request: dict) -> dict:
    """Call a function of the course with what the learner hands to it; numbers and arrays go in and out."""
    place, given = request["function"], request.get("arguments")
    if type(place) is not int or not 0 <= place < len(functions):
        raise BadMessage("a function that was not handed over")
    checked(given, lambda v: isinstance(v, list) and all(map(_is_small, v)))
    try:
        with np.errstate(all="ignore"):
            return {"value": np.asarray(functions[place](*given))}
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"[:TOLD]}


def _is_small(given: object) -> bool:
    """A number, or an array that is not too large."""
    if isinstance(given, np.ndarray):
        return given.size <= LARGEST_INPUT
    return isinstance(given, np.generic | bool | int | float)


class RemoteAnswers(Answers):
    """The learner's names, in a worker."""

    def __init__(self, notebook: Notebook):
        super().__init__({})
        self.notebook = notebook

    def _ask(self, name: str, method: str, *arguments, **keywords) -> object:
        answer = self.notebook.ask(name, method, *arguments, **keywords)
        self.used[name] = None
        self._overhear(name, answer)
        return answer.get("value")

    def _overhear(self, name: str, answer: dict) -> None:
        """What the answer has printed and drawn, for the remark below the verdict."""
        printed, figures = legible(answer.get("printed", "")), answer.get("figures")
        if printed:
            self.overheard.prints.setdefault(name, printed)
            if answer.get("cut") is True:
                self.overheard.cut.add(name)
        if type(figures) is int and 0 < figures < 1000:
            self.overheard.figures[name] = figures

    def _checked(self, name: str, value: object, fits) -> object:
        """The value, if it is of the kind that was asked for; otherwise the worker cannot be believed any more."""
        try:
            return checked(value, fits)
        except BadMessage as fault:
            raise self.notebook.lost(name, fault) from None

    def call(
        self, name: str, arguments: tuple, *, lib_counts: bool = True
    ) -> np.ndarray:
        value = self._ask(name, "call", *arguments, lib_counts=lib_counts)
        return self._checked(name, value, is_array)

    def value(self, name: str, *, length: int | None = None) -> np.ndarray:
        value = self._checked(name, self._ask(name, "value", length=length), is_array)
        return _no_larger(name, value)

    def values(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        value = self._checked(
            name,
            self._ask(name, "values", count),
            lambda v: isinstance(v, list) and len(v) == count and all(map(is_array, v)),
        )
        return tuple(_no_larger(name, part) for part in value)

    def text(self, name: str, *, default: str) -> str:
        value = self._ask(name, "text", default=default)
        self.used.pop(name)  # it is no answer
        self._checked(name, value, lambda v: isinstance(v, str) and len(v) <= TOLD)
        return legible(value)


def is_array(value: object) -> bool:
    """An array, and not a single number of NumPy."""
    return isinstance(value, np.ndarray)


def _no_larger(name: str, array: np.ndarray) -> np.ndarray:
    if array.size > LARGEST_INPUT:
        raise Wrong(
            f"`{name}` holds {array.size:,} numbers; at most {LARGEST_INPUT:,} are needed."
        )
    return array


class RemoteStudent(Student):
    """What a check sees of a learner whose answers are in a worker."""

    _answers: RemoteAnswers

    def words(self, name: str) -> dict[str, str]:
        found = self._answers._ask(name, "words")
        pairs = list(found.items()) if isinstance(found, dict) else None
        self._answers._checked(
            name,
            pairs,
            lambda v: (
                v is not None
                and len(v) <= 100
                and _are_texts([t for p in v for t in p])
            ),
        )
        return {legible(key): legible(text) for key, text in pairs}

    def masks(self, name: str, count: int) -> list[Mask]:
        found = self._answers._ask(name, "masks", count)
        self._answers._checked(
            name,
            found,
            lambda v: (
                isinstance(v, list) and len(v) == count and _are_texts(v, LONGEST_JSON)
            ),
        )
        try:
            made = [Mask.from_json(text) for text in found]
        except (ValueError, RecursionError, OverflowError, MemoryError) as fault:
            raise self._answers.notebook.lost(
                name, BadMessage(legible(fault))
            ) from None
        return [
            copied(mask, f"Mask {number} of `{name}`")
            for number, mask in enumerate(made)
        ]

    def model(self, name: str, *, seed: int) -> "RemoteModel":
        return RemoteModel(name, seed, self._answers)


def _are_texts(values: list, longest: int = TOLD) -> bool:
    return all(isinstance(text, str) and len(text) <= longest for text in values)


class RemoteModel:
    """A learner's model in a worker, with the methods of `lib.grading.handles.Model`."""

    def __init__(self, name: str, seed: int, answers: RemoteAnswers):
        self._name, self._seed, self._answers = name, seed, answers
        self._number, self._made_in = self._make(), answers.notebook.starts

    def _make(self) -> int:
        number = self._answers._ask(self._name, "model", seed=self._seed)
        return self._answers._checked(self._name, number, lambda v: type(v) is int)

    def _ask(self, method: str, fits, *arguments, **keywords) -> object:
        if self._made_in != self._answers.notebook.starts:  # the worker was replaced
            self._number, self._made_in = self._make(), self._answers.notebook.starts
        value = self._answers._ask(
            self._name, method, self._number, *arguments, **keywords
        )
        return self._answers._checked(self._name, value, fits)

    def outputs(self, tokens: np.ndarray, *, training: bool = False) -> np.ndarray:
        return self._ask("outputs", is_array, tokens, training=training)

    def sizes(self, part: str) -> list[tuple[int, ...]]:
        found = self._ask(
            "sizes", lambda v: isinstance(v, list) and all(map(_are_whole, v)), part
        )
        return [tuple(shape) for shape in found]

    def taken_by(self, part: str, tokens: np.ndarray) -> int:
        return self._ask("taken_by", lambda v: type(v) is int, part, tokens)

    def slopes(self, part: str, x: np.ndarray) -> np.ndarray:
        return self._ask("slopes", is_array, part, x)

    def trained(
        self, tokens: np.ndarray, targets: np.ndarray, steps: int
    ) -> tuple[list[float], set[str]]:
        losses, idle = self._ask("trained", _is_training, tokens, targets, steps)
        return losses, set(map(legible, idle))


def _are_whole(values: object) -> bool:
    return isinstance(values, list) and all(type(v) is int for v in values)


def _is_training(value: object) -> bool:
    """The losses, and the names of the parts that no gradient reaches."""
    if not (isinstance(value, list) and len(value) == 2):
        return False
    losses, idle = value
    return (
        isinstance(losses, list)
        and all(isinstance(loss, float) for loss in losses)
        and isinstance(idle, list)
        and _are_texts(idle)
    )
