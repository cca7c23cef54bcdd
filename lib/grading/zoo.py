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


def zoo_mistakes(exercise: ModuleType, answer: str) -> Iterator[Mistake]:
    """Every bug of causal attention as a mistake about `answer`; none where attention does not answer it."""
    for adapter in adapters_of(exercise, answer):
        for bug in bugs_of_causal_attention():
            why = f"{bug.tell_tale} {_without_thread(bug.story)}"
            yield Mistake(answer, bug.title, why, adapter.make(bug.function), bug.slug)


def _without_thread(story: str) -> str:
    """The story without the sentence on its thread, whose link stands on the page of the zoo alone."""
    return re.sub(r" In the thread[^.]*\.", "", story)


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
