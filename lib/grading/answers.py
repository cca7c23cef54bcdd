"""The learner's side of a check: the names in the notebook, called and read without ever trusting them.

Whatever an answer does becomes a sentence: `Wrong` says what is wrong with it, `Unsolved` that it is still the stub.
"""

import difflib
import sys
import traceback
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

from lib.grading.feedback import Finding
from lib.readings.tables import is_tensor

# What to say about errors that beginners meet, by a part of their message.
ADVICE = {
    "could not be broadcast": "\nNumPy lines shapes up from the right. `x[:, None]` makes a column of a vector.",
    "mismatch in its core dimension": "\nIn `a @ b`, the last axis of a and the first of b must be equally long. Is a "
    "`.T` missing?",
    "not aligned": "\nIn `np.dot(a, b)`, the last axis of a and the first of b must be equally long. Is the "
    "order right?",
    "truth value of an array": "\n`if`, `not`, `and`, `or` ask about one value. For an array write `~`, "
    "`&`, `|` or `np.where`.",
    "invalid combination of arguments": "\nThe check gives NumPy arrays; `torch.from_numpy(x)` makes a tensor of one.",
    "is not defined": "\nRun the cells above this one first; or is it a typing error?",
}
PARAMETERS = (
    "\nThe check calls it as the first line of the task has it: keep the parameters."
)


class Unsolved(Exception):
    """The learner has not answered yet: the stub `name` is still there."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


class Wrong(Exception):
    """The answer does not count; `finding` says why."""

    def __init__(self, why: str, **parts: str):
        super().__init__(why)
        self.finding = Finding(why, **parts)


class Answers:
    """The learner's names in this kernel. Nothing else of the learner's is ever touched by a check.

    Only names, arrays, numbers and text go in and out, so that a worker in another process can stand here.
    """

    def __init__(self, namespace: Mapping[str, object]):
        self._namespace = namespace
        self.used: dict[str, object] = {}  # what the check has looked up so far

    def look_up(self, name: str) -> object:
        """The learner's object of that name; Unsolved while it is the stub, Wrong when there is none."""
        if name not in self._namespace:
            close = difflib.get_close_matches(
                name, [known for known in self._namespace if known[0] != "_"], n=1
            )
            guess = (
                f" Did you rename it to `{close[0]}`?"
                if close
                else " Did you run the cell that defines it?"
            )
            raise Wrong(
                f"There is no `{name}` in this notebook.{guess} The check asks for that very name."
            )
        if self._namespace[name] is ...:
            raise Unsolved(name)
        self.used[name] = self._namespace[name]
        return self.used[name]

    def call(
        self, name: str, arguments: tuple, *, lib_counts: bool = True
    ) -> np.ndarray:
        """Result of the learner's function on copies of `arguments`: an array of numbers, of the type it came in."""
        function = self.look_up(name)
        if not callable(function):
            raise Wrong(f"`{name}` should be a function, but it is {_kind(function)}.")
        copies = tuple(
            np.array(a) if isinstance(a, np.ndarray) else a for a in arguments
        )
        with _faults_in_words(name, function), np.errstate(all="ignore"):
            with _modules_entered() as modules:
                returned = function(*copies)
            result = _as_numbers(returned, f"`{name}` returned")
        for position, (before, after) in enumerate(zip(arguments, copies, strict=True)):
            if isinstance(before, np.ndarray) and not np.array_equal(
                before, after, equal_nan=True
            ):
                raise Wrong(
                    f"`{name}` changed its argument number {position + 1} in place. Whoever calls a function does "
                    "not expect that: make a new array, for example with `x = x + 1` and not `x += 1`.",
                )
        if not lib_counts and any(
            module.split(".")[0] == "lib" for module in modules - {__name__}
        ):
            raise Wrong(
                f"`{name}` calls the course's package `lib`. In this question, write it yourself."
            )
        return result

    def text(self, name: str, *, default: str) -> str:
        """The learner's text or number of that name, as text; `default` when it is missing or the stub."""
        answer = self._namespace.get(name, ...)
        if answer is ... or answer is None:
            return default
        if not isinstance(answer, str | int):
            raise Wrong(
                f"`{name}` should be a text, such as your name; it is {_kind(answer)}."
            )
        return str(answer).strip()

    def value(self, name: str) -> np.ndarray:
        """The learner's number, list or array of that name, as an array."""
        answer = self.look_up(name)
        with _faults_in_words(name, answer):
            return _as_numbers(answer, f"`{name}` is")

    def values(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        """The learner's tuple or list of that name: `count` arrays that may have different shapes."""
        answer = self.look_up(name)
        if not isinstance(answer, (tuple, list)) or len(answer) != count:
            raise Wrong(
                f"`{name}` should be a tuple of {count} arrays, but it is {_kind(answer)}."
            )
        with _faults_in_words(name, answer):
            return tuple(
                _as_numbers(part, f"Part {n} of `{name}` is")
                for n, part in enumerate(answer, start=1)
            )


@contextmanager
def _modules_entered():
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


class _Stub(Exception):
    """An answer holds, or gives back, the `...` of the stub."""


@contextmanager
def _faults_in_words(name: str, answer: object):
    """Turn whatever the learner's code raises into a sentence, an interrupt of it included."""
    try:
        yield
    except Wrong:
        raise
    except _Stub:
        raise Unsolved(name) from None
    except KeyboardInterrupt:
        raise Wrong(
            f"`{name}` was interrupted before it had a result. If that was you: is there a loop that never ends?"
        ) from None
    except SystemExit:
        raise Wrong(
            f"`{name}` calls sys.exit. Remove that call: a function gives its result by `return`."
        ) from None
    except BaseException as error:
        text = traceback.format_exception_only(error)[-1].strip()
        line = _line_of(answer, error)
        advice = next((a for part, a in ADVICE.items() if part in text), "")
        if "positional argument" in text and not line:  # the call itself failed
            advice = PARAMETERS
        raise Wrong(f"`{name}` stopped with {text}{line}{advice}") from None


def _line_of(answer: object, error: BaseException) -> str:
    """The line of the learner's own function at which the error arose, where it can be told."""
    code = getattr(answer, "__code__", None)
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if code and frame.filename == code.co_filename
    ]
    return f"\nIt happened here: `{own[-1].line}`" if own and own[-1].line else ""


def _as_numbers(answer: object, who: str) -> np.ndarray:
    """The answer as an array of booleans, integers or floats; _Stub for `...`, Wrong in words for anything else."""
    if answer is ...:
        raise _Stub
    if answer is None:
        advice = " A function gives its result by `return`: is that line missing?"
        raise Wrong(f"{who} None.{advice if who.endswith('returned') else ''}")
    if isinstance(answer, np.ma.MaskedArray):
        raise Wrong(
            f"{who} a masked array of NumPy. Say what stands at its hidden places, with `.filled(…)`."
        )
    if is_tensor(answer):  # its numbers, wherever it lies and whether it is trained
        answer = answer.detach().cpu()
    try:
        numbers = np.asarray(answer)
    except ValueError:
        raise Wrong(
            f"{who} {_kind(answer)} whose rows have different lengths, not an array of numbers."
        ) from None
    if numbers.dtype.kind not in "biuf":
        raise Wrong(f"{who} {_kind(answer)}, not a number or an array of numbers.")
    return numbers


def _kind(thing: object) -> str:
    """The thing in words: `a list of 3`, `an array of shape (2, 3) and type object`, `a str`."""
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape} and type {thing.dtype}"
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of {len(thing)}"
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
