"""What is known about an exercise: its reference answers and the mistakes that have a name.

Both are written in solutions/ and come from there, by `python -m lib exercises`, as the modules
`lib.grading.references.exercise_NN`.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple


class Mistake(NamedTuple):
    """A known wrong answer: which answer it replaces, its name, what to tell, and the function itself.

    `bug` is the name in `lib.bugs.ZOO` of the bug that it is, where it is one. `spellings` are other functions that
    make the same mistake and give other numbers.
    """

    answer: str
    name: str
    explanation: str
    function: Callable
    bug: str = ""
    spellings: tuple[Callable, ...] = ()


def mistake(
    answer: str,
    name: str,
    explanation: str,
    *,
    bug: str = "",
    spellings: tuple[Callable, ...] = (),
) -> Callable[[Callable], Mistake]:
    """Decorator: this function is what somebody writes who holds the misconception `name` about `answer`.

    List in `spellings` how else it is written, such as with and without the largest score subtracted.
    """
    return lambda function: Mistake(answer, name, explanation, function, bug, spellings)


class Adapter(NamedTuple):
    """How attention answers a question: `make(attention)` is an answer if `attention(q, k, v)` is causal attention."""

    answer: str
    make: Callable[[Callable], Callable]


def answered_by_attention(answer: str) -> Callable[[Callable], Adapter]:
    """Decorator: this function makes an answer out of a function (q, k, v), so that bugs of the zoo can be tried."""
    return lambda make: Adapter(answer, make)


def exercise_of(question: str) -> ModuleType:
    """The generated module of the exercise that has this question; LookupError when there is none."""
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
    return _about(answer, Mistake, exercise)


def adapters_of(exercise: ModuleType, answer: str) -> list[Adapter]:
    """The ways to get this answer from attention: one, or none."""
    return _about(answer, Adapter, exercise)


def _about(answer: str, kind: type, exercise: ModuleType) -> list:
    return [
        known
        for known in vars(exercise).values()
        if isinstance(known, kind) and known.answer == answer
    ]
