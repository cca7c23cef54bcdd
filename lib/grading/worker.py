"""The process that runs a learner's notebook and answers for it; it is started inside the sandbox, once a learner.

It knows no check, no expected value and no score. Requests come over one pipe and answers go back over another; what
the learner's code does to this process can change the learner's answers, and nothing else.
"""

import builtins
import linecache
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np

from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.foundation import as_loaded, ground, put_back, stands
from lib.grading.handles import Model
from lib.grading.student import Student
from lib.grading.wire import WAITING, BadMessage, Channel

TOLD = 2000  # characters of a message about an error
# Magic words before a cell or a line whose rest is Python all the same.
TIMED = {"time", "timeit", "capture", "prun"}


def main(reading: int, writing: int, uid: int, limits: dict[str, int]) -> None:
    """Give up all rights, then answer requests until there are no more."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if uid:  # started by root, whom few limits hold
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    Worker(Channel(reading, writing)).serve()


class Worker:
    """The learner's notebook, run cell by cell, and what a check may ask of it afterwards."""

    def __init__(self, channel: Channel):
        self._channel = channel
        self._before = as_loaded()
        self._names = _notebook()
        self._beginning = ground({})
        self._cells = 0
        self._models: list[Model] = []
        self._course: list[str] = []
        self._student: Student | None = None
        self._ground: tuple | None = None  # as it is once the cells have run

    def serve(self) -> None:
        """Answer one request after another."""
        while True:
            request = self._channel.receive()
            number = {"number": request.pop("number", 0)}
            answer = getattr(self, f"do_{request.pop('do')}")(**request)
            try:
                self._channel.send(answer | number)
            except BadMessage as error:
                why = f"What it gives cannot be judged: {error}."
                self._channel.send({"wrong": why} | number)

    def do_begin(self, course: list[str]) -> dict:
        """A new check begins; `course` has the names that the exercise itself defines.

        Ends this process where an answer has taken away what the next one stands on: another process begins anew.
        """
        put_back(self._before)
        if self._ground and not stands(self._ground, self._names):
            sys.exit()
        self._course, self._student = course, None
        return {}

    def do_cell(self, source: str, seconds: float, after: str = "") -> dict:
        """Run a cell. Tells the error that it raised, and the name that it missed, if one.

        With `after` the cell is run only if that name is there by now.
        """
        if after and after not in self._names:
            return {"error": "", "missed": after}
        self._cells += 1
        file = f"<cell {self._cells}>"
        linecache.cache[file] = len(source), None, source.splitlines(True), file
        _begin_anew()
        try:
            with _no_longer_than(seconds, "It"):
                exec(_compiled(source, file), self._names)
        except BaseException as error:
            missed = error.name if isinstance(error, NameError) else ""
            return {
                "error": _told(error),
                "missed": missed if isinstance(missed, str) else "",
            }
        finally:
            put_back(self._before)
            if not stands(self._beginning, self._names):
                sys.exit()  # the others are run without this cell
        return {"error": "", "missed": ""}

    def do_ask(
        self, name: str, method: str, arguments: list, keywords: dict, seconds: float
    ) -> dict:
        """What `Student`, or the model that is the first argument, gives; a fault as a sentence."""
        self._ground = self._ground or ground(self._names)
        if self._student is None:
            self._student = Student(Answers(self._names, self._course), None)
        answers = self._student._answers
        arguments = [self._handed_over(argument) for argument in arguments]
        _begin_anew()
        try:
            with _no_longer_than(seconds, f"`{name}`"):
                value = self._asked(name, method, arguments, keywords)
        except Unsolved:
            answer = {"unsolved": True}
        except _Late as late:
            answer = {"wrong": str(late), "late": True}
        except Wrong as wrong:
            answer = {"wrong": wrong.finding.why[:TOLD]}
        except BaseException as error:
            answer = {"wrong": f"`{name}` stopped with {_told(error)}"}
        else:
            answer = {"value": value}
        heard = answers.overheard
        return answer | {
            "used": name in answers.used,
            "printed": heard.prints.get(name, ""),
            "cut": name in heard.cut,
            "figures": heard.figures.get(name, 0),
        }

    def _asked(self, name: str, method: str, arguments: list, keywords: dict) -> object:
        answers = self._student._answers
        if method in ("call", "value", "values"):
            wanted = tuple(arguments) if method == "call" else arguments
            given = [name, wanted] if method == "call" else [name, *wanted]
            return getattr(answers, method)(*given, **keywords)
        if method == "text":
            return answers.text(name, **keywords)
        if method == "words":
            return self._student.words(name)
        if method == "masks":
            return [mask.to_json() for mask in self._student.masks(name, *arguments)]
        if method == "model":
            self._models.append(self._student.model(name, **keywords))
            return len(self._models) - 1
        number, *arguments = arguments
        value = getattr(self._models[number], method)(*arguments, **keywords)
        return [value[0], sorted(value[1])] if method == "trained" else value

    def _handed_over(self, argument: object) -> object:
        """The argument; in place of a function that stayed with the grader one that calls it there."""
        if not isinstance(argument, dict):
            return argument
        place = argument["function"]

        def asked_there(*given):
            self._channel.send({"function": place, "arguments": _as_arrays(given)})
            answer = self._channel.receive()
            if "raised" in answer:
                raise ValueError(answer["raised"])
            return answer["value"]

        return asked_there


class _Late(Wrong):
    """The time that was given has passed."""


@contextmanager
def _no_longer_than(seconds: float, who: str) -> Iterator[None]:
    """Stop Python code after so many seconds of work, or some times as many of waiting.

    Work is counted, and not the time of day, so that a busy machine gives the same grades. Code that catches what
    stops it is stopped again, once a second.
    """

    def stop(*_):
        raise _Late(
            f"{who} gave no result within {seconds:.0f} s. Is there a loop that never ends?"
        )

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    signal.setitimer(signal.ITIMER_REAL, WAITING * seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _as_arrays(given: tuple) -> list:
    """What the learner hands to a function of the course: arrays and plain numbers."""
    return [
        part if isinstance(part, bool | int | float) else np.asarray(part)
        for part in given
    ]


def _begin_anew() -> None:
    """Random numbers that nobody has seeded are the same in every run; a timer set earlier does not go off."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def _told(error: BaseException) -> str:
    if isinstance(error, Wrong):
        return error.finding.why
    try:
        text = str(error)
    except BaseException:  # as Python's own tracebacks say it
        text = "<exception str() failed>"
    return f"{type(error).__name__}: {text}"[:TOLD]


def _compiled(source: str, file: str):
    """The code of a cell; the magic words of IPython are understood where plain Python is not."""
    try:
        return compile(source, file, "exec")
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return compile(TransformerManager().transform_cell(source), file, "exec")


def _notebook() -> dict[str, object]:
    """The names that a notebook has to begin with, in a module of its own."""
    notebook = ModuleType("__main__")
    sys.modules["__main__"] = notebook
    names = vars(notebook)
    shell = SimpleNamespace(
        run_line_magic=lambda word, line, **_: _run_rest(word, line, names),
        run_cell_magic=lambda word, line, cell: _run_rest(word, cell, names),
        system=_nothing,
        getoutput=_nothing,
    )
    names.update(get_ipython=lambda: shell, display=_nothing)
    for word in ("exit", "quit"):
        setattr(builtins, word, sys.exit)
    _stand_in("checks", check=_unasked, show=_unasked, rely_on=_nothing)
    _stand_in("example", example=_nothing)
    _stand_in("progress", my_progress=_nothing)
    return names


def _run_rest(word: str, code: str, names: dict) -> None:
    if word in TIMED:
        exec(code, names)


def _stand_in(module: str, **names: Callable) -> None:
    """A module of `lib.grading` that a notebook imports from and that has nothing to do here."""
    stand_in = ModuleType(f"lib.grading.{module}")
    vars(stand_in).update(names)
    sys.modules[stand_in.__name__] = stand_in


def _unasked(*_, **__) -> Callable:
    """In place of `check` and `show`: the grader asks, later. What they decorate becomes a name of the course's."""
    return lambda _: _nothing


def _nothing(*_, **__) -> None:
    """Do nothing, and take anything."""
