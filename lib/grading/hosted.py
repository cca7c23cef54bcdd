"""A learner's notebook in its worker, as the grader sees it: run once, replaced when it breaks, never trusted."""

import re
import time
from collections.abc import Sequence
from types import FunctionType

import numpy as np

from lib.grading.faults import Unsolved, Wrong
from lib.grading.sandbox import Sandbox, end
from lib.grading.wire import WAITING, BadMessage, Gone, TooLate, checked, texts

LARGEST_GIVEN = (
    2**16
)  # numbers in an array that a learner hands to a function of the course
TIME_OVER = "The time for this {what} is over: other parts of it took too long."
WITHOUT_INPUT = {"text", "value", "values", "words", "masks"}
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
        self._said: dict[tuple, dict | Exception] = {}
        self._worker = None
        self._requests = 0
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
        now = time.monotonic()
        self._question_until = min(now + WAITING * seconds, self._until)
        left = self._until - now
        if left <= 0:
            self.close()
        if self._worker:
            try:
                self._exchange(
                    {"do": "begin", "course": self._course},
                    min(self._seconds, left / WAITING),
                )
            except (Gone, TooLate, BadMessage):  # what an earlier answer left behind
                self.close()

    def _ready(self) -> None:
        """See to it that a worker is there that has run every cell that it can; Wrong when there is no time left."""
        began = time.monotonic()
        while self._worker is None:
            if time.monotonic() > self._until:
                raise Wrong(TIME_OVER.format(what="notebook"))
            self.starts += 1
            self._worker = self._sandbox.start()
            try:
                # The first answer waits for Python to load.
                self._exchange({"do": "begin", "course": self._course}, 60)
            except (Gone, TooLate, BadMessage):
                self.close()
                raise RuntimeError("the worker does not start") from None
            self._run_cells()
        spent = time.monotonic() - began
        self._question_until = min(self._question_until + spent, self._until)

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
        self._requests += 1
        self.busy = True
        try:
            channel.send(request | {"number": self._requests}, until=until)
            while "function" in (answer := channel.receive(until=until)):
                self.busy = False  # our own work, which the limit of the check holds
                reply = called(functions, answer)
                self.busy = True
                if time.monotonic() > until:  # though the worker always has more to ask
                    raise TooLate
                channel.send(reply, until=until)
        finally:
            self.busy = False
        number = answer.get("number")
        if type(number) is not int or number != self._requests:
            raise BadMessage("an answer to nothing that was asked")
        return answer

    def ask(self, name: str, method: str, *arguments, **keywords) -> dict:
        """What the worker answers about the learner's `name`; Wrong or Unsolved where there is nothing to judge.

        What takes no input is asked for once: for every later check it is what it was for the first.
        """
        if name in self._dead:
            raise Wrong(self._dead[name])
        if method not in WITHOUT_INPUT:
            return self._asked(name, method, *arguments, **keywords)
        key = (name, method, *arguments, *keywords.values())
        if key not in self._said:
            try:
                self._said[key] = self._asked(name, method, *arguments, **keywords)
            except (Wrong, Unsolved) as refused:
                self._said[key] = refused
        if isinstance(said := self._said[key], Exception):
            raise said
        return said

    def _asked(self, name: str, method: str, *arguments, **keywords) -> dict:
        self._ready()
        seconds = min(self._seconds, self._question_until - time.monotonic())
        if seconds <= 0:
            raise Wrong(TIME_OVER.format(what="question"))
        functions = [a for a in arguments if isinstance(a, FunctionType)]
        given = [
            {"function": functions.index(a)} if isinstance(a, FunctionType) else a
            for a in arguments
        ]
        request = {"do": "ask", "name": name, "method": method, "seconds": seconds}
        request |= {"arguments": given, "keywords": keywords}
        try:
            answer = self._exchange(request, seconds, functions)
            [why] = texts([answer.get("wrong", "")], 1, 2**20)
        except (Gone, TooLate, BadMessage) as fault:
            raise self.lost(name, fault, seconds) from None
        if answer.get("unsolved") is True:
            raise Unsolved(name)
        if why:
            why = legible(why)
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
        return (
            "ended Python itself, as a crash or `os._exit` does, or took away what all others need: modules, or the "
            "limits of the process."
        )
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
        return given.size <= LARGEST_GIVEN
    return isinstance(given, np.generic | bool | int | float)
