"""The bugs of the zoo as wrong answers to questions."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType

import numpy as np

from lib.bugs import ZOO, Bug, Setting, settings
from lib.grading.known import Mistake, adapters_of

# Of these a sentence of the zoo may speak where the question does too.
ELSEWHERE = re.compile(
    r"\b(thread|loss|model|word|text|book|course|benchmark|librar|train|evaluat|next token|document|last bug|way back)",
    re.IGNORECASE,
)


def zoo_mistakes(exercise: ModuleType, answer: str) -> Iterator[Mistake]:
    """Every bug of the zoo that fits as a mistake about `answer`; none where attention does not answer it."""
    for adapter in adapters_of(exercise, answer):
        words = getattr(exercise, answer).__doc__ or ""
        for bug in bugs_like(adapter.like):
            why = _within(f"{bug.tell_tale} {bug.story}", words)
            yield Mistake(answer, bug.title, why, adapter.make(bug.function), bug.slug)


def _within(told: str, words: str) -> str:
    """What is told of a bug, without the sentences that speak of what the question, in its own `words`, has not.

    The zoo is about models that write: a question on weights has no loss and no next word. Its threads have their
    links on the page of the zoo alone.
    """
    sentences = re.split(r"(?<=[.!?]) (?=[^a-z])", told)
    return " ".join(
        sentence
        for sentence in sentences
        if all(word.lower() in words.lower() for word in ELSEWHERE.findall(sentence))
    )


@cache
def bugs_like(name: str) -> list[Bug]:
    """The bugs that are a function of q, k and v and should have been the function `name` of `lib.bugs.settings`."""
    right = getattr(settings, name)
    return [bug for bug in ZOO.values() if _wants(right, bug.setting)]


def _wants(right: Callable, setting: Setting) -> bool:
    """Whether `right` is right in this setting."""
    if setting.signature != "f(q, k, v)":
        return False
    return np.allclose(
        *(setting.layer(f)(setting.text) for f in (setting.right, right))
    )
