"""What an author knows about an answer: the mistakes that have a name, and how attention answers a question.

These are the words of `lib.grading.references`, which `python -m lib exercises` makes from solutions/.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import numpy as np


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
    """How attention answers a question: `make(attention)` is right if `attention(q, k, v)` is.

    `like` names the function of `lib.bugs.settings` that is right there.
    """

    answer: str
    make: Callable[[Callable], Callable]
    like: str


def answered_by_attention(
    answer: str, *, like: str = "causal_attention"
) -> Callable[[Callable], Adapter]:
    """Decorator: this function makes an answer out of a function (q, k, v), so that bugs of the zoo can be tried."""
    return lambda make: Adapter(answer, make, like)


def answered_by_mask(
    answer: str, *, like: str = "causal_attention"
) -> Callable[[Callable], Adapter]:
    """Decorator: this function makes an answer out of a mask (n_q, n_k), so that the zoo's wrong masks can be tried."""

    def adapter(make: Callable) -> Adapter:
        return Adapter(answer, lambda attend: make(mask_of(attend)), like)

    return adapter


def mask_of(attend: Callable) -> Callable[[int, int], np.ndarray]:
    """(n_q, n_k) → which keys have weight when every score is 0: the mask with which `attend` works, as booleans."""
    return lambda n_q, n_k: (
        attend(np.zeros((n_q, 1)), np.zeros((n_k, 1)), np.eye(n_k)) > 0
    )


def mistakes_of(exercise: ModuleType, answer: str) -> list[Mistake]:
    """The known mistakes about one answer, in the order in which they are written."""
    return [known for known in _about(answer, exercise) if isinstance(known, Mistake)]


def adapters_of(exercise: ModuleType, answer: str) -> list[Adapter]:
    """The ways to get this answer from attention: one, or none."""
    return [known for known in _about(answer, exercise) if isinstance(known, Adapter)]


def _about(answer: str, exercise: ModuleType) -> Iterator[Mistake | Adapter]:
    """What stands in the module about an answer, alone or in a list."""
    for value in vars(exercise).values():
        for known in value if isinstance(value, list) else [value]:
            if isinstance(known, Mistake | Adapter) and known.answer == answer:
                yield known
