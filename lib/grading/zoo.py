"""The bugs of the zoo as wrong answers to questions."""

import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import numpy as np

from lib.bugs import ZOO, Bug, Setting
from lib.grading.known import Mistake, adapters_of
from lib.masks import causal
from lib.numpy_attention import attention

# Of these a sentence of the zoo may speak where the question does too.
ELSEWHERE = re.compile(
    r"\b(thread|loss|model|word|text|book|course|benchmark|librar|train|evaluat|next token|document|last bug|way back)",
    re.IGNORECASE,
)


def zoo_mistakes(exercise: ModuleType, answer: str) -> Iterator[Mistake]:
    """Every bug of causal attention as a mistake about `answer`; none where attention does not answer it."""
    for adapter in adapters_of(exercise, answer):
        words = getattr(exercise, answer).__doc__ or ""
        for bug in bugs_of_causal_attention():
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
def bugs_of_causal_attention() -> list[Bug]:
    """The bugs that are a function of q, k and v and should have been causal attention."""
    return [bug for bug in ZOO.values() if _wants_causal_attention(bug.setting)]


def _wants_causal_attention(setting: Setting) -> bool:
    if setting.signature != "f(q, k, v)":
        return False
    right, plain = (
        setting.layer(function)(setting.text)
        for function in (setting.right, lambda q, k, v: attention(q, k, v, causal))
    )
    return np.allclose(right, plain)
