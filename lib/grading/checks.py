"""Checks that run in the notebook: points at once, what was wanted, what was found, and why.

A check is an ordinary cell of an exercise notebook::

    @check("1.1", points=2, section="3 The output", hint=["Look at the sum.", "Which axis does it run over?"])
    def weighted_sums(student):
        student.same("weighted_sum", np.array([0.3, 0.7]), values)

It judges the learner's answers as soon as the cell runs, and never raises because of them. It compares with the
reference answers and the known mistakes that `python -m lib exercises` generates into `lib.grading.references`,
so it needs neither the notebook's file name nor a network. CONTRIBUTING.md says how to add one.
"""

import difflib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

import numpy as np
from IPython.display import display

from lib.grading.feedback import Finding, Result

# Two float64 computations of one formula agree far better than this; a mistake does not.
RELATIVE, ABSOLUTE = 1e-7, 1e-9
SHOWN = 24  # an array with more numbers than this is described, not printed


class Unsolved(Exception):
    """The learner has not answered yet: the stub is still there."""


class Wrong(Exception):
    """The answer does not count; `finding` says why."""

    def __init__(self, why: str, **parts: str):
        super().__init__(why)
        self.finding = Finding(why, **parts)


class Mistake(NamedTuple):
    """A known wrong answer: which answer it replaces, its name, what to tell, and the function itself."""

    answer: str
    name: str
    explanation: str
    function: Callable


def mistake(answer: str, name: str, explanation: str) -> Callable[[Callable], Mistake]:
    """Decorator: this function is what somebody writes who holds the misconception `name` about `answer`."""
    return lambda function: Mistake(answer, name, explanation, function)


class Answers:
    """The learner's names in this kernel. Nothing else of the learner's is ever touched by a check.

    Only names, arrays, numbers and text go in and out, so that a worker in another process can stand here.
    """

    def __init__(self, namespace: Mapping[str, object]):
        self._namespace = namespace

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
        return self._namespace[name]

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
        with (
            _faults_in_words(name, function),
            np.errstate(all="ignore"),
            _modules_entered() as modules,
        ):
            result = _as_numbers(function(*copies), f"`{name}` returned")
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
                f"`{name}` calls the course's package `lib`. In this question, write it with NumPy alone."
            )
        return result

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


class Student:
    """What a check sees of the learner: the answers, and the sentences that say what is wrong with them."""

    def __init__(
        self, answers: Answers, exercise: ModuleType, *, lib_counts: bool = True
    ):
        self._answers = answers
        self._exercise = exercise
        self._lib_counts = lib_counts

    def call(self, name: str, *arguments) -> np.ndarray:
        """Result of the learner's function `name`, as float64; the arguments are copied."""
        return self._answers.call(name, arguments, lib_counts=self._lib_counts).astype(
            np.float64
        )

    def value(self, name: str) -> np.ndarray:
        """The learner's number or array `name`, as float64."""
        return self._answers.value(name).astype(np.float64)

    def values(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        """The learner's tuple `name` of `count` arrays, as float64."""
        return tuple(
            part.astype(np.float64) for part in self._answers.values(name, count)
        )

    def reference(self, name: str) -> Callable:
        """The reference answer, or a given function of the exercise, by name."""
        return getattr(self._exercise, name)

    def same(
        self,
        name: str,
        *arguments,
        view: Callable[[np.ndarray], np.ndarray] | None = None,
        dtype: type | None = None,
    ) -> None:
        """The learner's function and the reference agree on `arguments`, up to rounding.

        Ask from small inputs to large ones: the first that fails is the counterexample shown. When more than
        one answer is right, `view` maps an answer to what must agree. With `dtype` the numbers must also be of
        that type, such as bool; without it only their values count.
        """
        reference = self.reference(name)
        asked = _call_text(name, reference, arguments)
        try:
            result = self._answers.call(name, arguments, lib_counts=self._lib_counts)
        except Wrong as wrong:
            raise Wrong(wrong.finding.why, asked=asked) from None
        with np.errstate(all="ignore"):
            wanted = np.asarray(reference(*arguments), dtype=np.float64)
            found = result.astype(np.float64)
            if view and result.shape == wanted.shape:
                asked = f"{view.__name__} of {asked}"
                found, wanted = np.asarray(view(found)), np.asarray(view(wanted))
            right_values = agree(found, wanted)
            if right_values and (dtype is None or result.dtype == dtype):
                return
            named = self._named(name, arguments, result, by_type=right_values)
        texts = {
            "asked": asked,
            "wanted": array_text(wanted),
            "found": array_text(found),
        }
        if named:
            raise Wrong(named.explanation, misconception=named.name, **texts)
        if right_values:
            raise Wrong(
                f"The numbers are right, but their type is {result.dtype}; it should be {np.dtype(dtype)}.",
                **texts,
            )
        raise Wrong(_difference(wanted, found), **texts)

    def _named(
        self, name: str, arguments: tuple, result: np.ndarray, *, by_type: bool
    ) -> Mistake | None:
        """The first known mistake that gives this result; with `by_type` it must be of the same type as well."""
        for known in mistakes_of(self._exercise, name):
            mistaken = np.asarray(known.function(*arguments))
            same_type = result.dtype == mistaken.dtype
            if agree(result, mistaken) and (same_type or not by_type):
                return known
        return None

    def expect(
        self,
        holds: bool,
        why: str,
        *,
        asked: str = "",
        wanted: str = "",
        found: str = "",
        misconception: str = "",
    ) -> None:
        """A property holds; otherwise `why` tells the learner what is wrong, and `misconception` gives it a name."""
        if not holds:
            raise Wrong(
                why,
                asked=asked,
                wanted=wanted,
                found=found,
                misconception=misconception,
            )


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Two arrays have one shape and one content up to rounding; NaN agrees with NaN and inf with inf."""
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(
        one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True
    )


def exercise_of(question: str) -> ModuleType:
    """The generated module with the points, references and mistakes of the exercise that has this question."""
    name = f"lib.grading.references.exercise_{question.split('.')[0]:0>2}"
    try:
        exercise = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        exercise = None
    if exercise is None or question not in exercise.POINTS:
        raise LookupError(
            f"question {question!r} is not known to this version of the course. Learners: install the course again. "
            "Authors: run `python -m lib exercises`."
        )
    return exercise


def mistakes_of(exercise: ModuleType, answer: str) -> list[Mistake]:
    """The known mistakes about one answer, in the order in which they are written."""
    return [
        known
        for known in vars(exercise).values()
        if isinstance(known, Mistake) and known.answer == answer
    ]


# Which questions are solved in this kernel, and by whose answers.
_solved: dict[str, Answers] = {}


def check(
    question: str,
    *,
    points: int = 0,
    section: str = "",
    hint: str | list[str] = (),
    lib_counts: bool = True,
    hidden: bool = False,
) -> Callable[[Callable[[Student], None]], Result]:
    """Decorator: judge the learner's answer to `question` now, show the verdict and keep the points.

    `section` is a heading of the chapter, `hint` one hint or several that unfold one after another. With
    `lib_counts=False` an answer that calls `lib` is not accepted. A hidden check has no points of its own: when
    it fails, the points of its question are lost. The decorated name is bound to the `Result`.
    """
    exercise = exercise_of(question)
    hints = (hint,) if isinstance(hint, str) else tuple(hint)
    where = (
        (
            f"chapter {exercise.CHAPTER[:2]}, section {section}",
            _address(exercise.CHAPTER, section),
        )
        if section
        else None
    )

    def judge(function: Callable[[Student], None]) -> Result:
        answers = Answers(function.__globals__)
        status, finding = verdict(
            function, Student(answers, exercise, lib_counts=lib_counts)
        )
        if status != "solved":
            _solved.pop(question, None)
        elif not hidden:
            _solved[question] = answers
        result = Result(
            question=f"{question} (hidden)" if hidden else question,
            status=status,
            points=points,
            title=f"Exercise {exercise.CHAPTER[:2]}",
            progress=progress(exercise),
            finding=finding,
            hints=() if status == "solved" else hints,
            section=where,
        )
        display(result)
        return result

    return judge


def verdict(
    function: Callable[[Student], None], student: Student
) -> tuple[str, Finding | None]:
    """Status and finding of a check function; only the user's own interrupt passes through."""
    try:
        function(student)
    except Unsolved:
        return "unsolved", None
    except Wrong as wrong:
        return "wrong", wrong.finding
    except Exception as error:
        return "broken", Finding(
            f"Please report this: {traceback.format_exception_only(error)[-1].strip()}"
        )
    return "solved", None


def progress(exercise: ModuleType) -> tuple[int, int]:
    """Points so far in this kernel, and points in all."""
    so_far = sum(
        points for question, points in exercise.POINTS.items() if question in _solved
    )
    return so_far, sum(exercise.POINTS.values())


def rely_on(question: str, name: str) -> object:
    """The learner's answer `name` once `question` is solved; until then the reference, and it says so."""
    if question in _solved:
        return _solved[question].look_up(name)
    print(
        f"Question {question} is not solved yet, so the reference answer stands in for {name}."
    )
    return getattr(exercise_of(question), name)


def _address(chapter: str, section: str) -> str:
    """Where JupyterLab finds a heading of the chapter, seen from the exercise notebook."""
    return f"../notebooks/{chapter}.ipynb#{section.replace(' ', '-')}"


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


@contextmanager
def _faults_in_words(name: str, answer: object):
    """Turn whatever the learner's code raises into a sentence, except the user's own interrupt."""
    try:
        yield
    except (KeyboardInterrupt, Unsolved, Wrong):
        raise
    except SystemExit:
        raise Wrong(
            f"`{name}` calls sys.exit. Remove that call: a function gives its result by `return`."
        ) from None
    except BaseException as error:
        text = traceback.format_exception_only(error)[-1].strip()
        raise Wrong(f"`{name}` stopped with {text}{_line_of(answer, error)}") from None


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
    """The answer as an array of booleans, integers or floats; Unsolved for `...`, Wrong in words for anything else."""
    if answer is ...:
        raise Unsolved
    if answer is None:
        raise Wrong(
            f"{who} None. A function gives its result by `return`: is that line missing?"
        )
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


def _difference(wanted: np.ndarray, found: np.ndarray) -> str:
    """One sentence on how an answer differs from what is wanted."""
    if found.shape != wanted.shape:
        return f"The shape is {found.shape}; it should be {wanted.shape}."
    if np.isnan(found).any() and not np.isnan(wanted).any():
        return (
            "The result holds NaN, which is not a number: look for 0/0, inf − inf or the logarithm "
            "of a negative number."
        )
    both_nan = np.isnan(wanted) & np.isnan(found)
    with np.errstate(all="ignore"):
        apart = np.where((wanted == found) | both_nan, 0, np.abs(wanted - found))
    apart = np.where(np.isnan(apart), np.inf, apart)
    place = np.unravel_index(np.argmax(apart), apart.shape)
    where = f" at [{', '.join(map(str, place))}]" if place else ""
    return f"The numbers differ most{where}: wanted {wanted[place]:.6g}, found {found[place]:.6g}."


def array_text(array: np.ndarray) -> str:
    """The array's numbers on one line, or its shape when there are too many to read."""
    array = np.asarray(array)
    if array.size > SHOWN:
        return f"an array of shape {array.shape}"
    text = np.array2string(
        array + 0.0, separator=",", formatter={"float_kind": "{:.4g}".format}
    )
    return ", ".join(part.strip() for part in text.split(","))


def _call_text(name: str, function: Callable, arguments: tuple) -> str:
    """The call as one would write it, with the names of the parameters."""
    given = inspect.signature(function).bind(*arguments).arguments
    shown = [
        f"{parameter}={array_text(value) if isinstance(value, np.ndarray) else value}"
        for parameter, value in given.items()
    ]
    return f"{name}({', '.join(shown)})"
