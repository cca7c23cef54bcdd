"""The bugs of the zoo as wrong answers to questions."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType

import numpy as np

from lib.bugs import ZOO, Bug, Setting, settings
from lib.grading.known import Mistake, adapters_of


def zoo_mistakes(exercise: ModuleType, answer: str) -> Iterator[Mistake]:
    """Every bug of the zoo that fits as a mistake about `answer`; none where attention does not answer it."""
    for adapter in adapters_of(exercise, answer):
        for bug in bugs_like(adapter.like):
            why = f"{bug.tell_tale} {_without_thread(bug.story)}"
            yield Mistake(answer, bug.title, why, adapter.make(bug.function), bug.slug)


def _without_thread(story: str) -> str:
    """The story without the sentence on its thread, whose link stands on the page of the zoo alone."""
    return re.sub(r" In the thread[^.]*\.", "", story)


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
