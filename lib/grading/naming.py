"""The name of a wrong answer: which known mistake gives it, and how sure that is."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from lib.grading.comparing import agree, agreeing
from lib.grading.known import Mistake


class Answer(NamedTuple):
    """What an answer gave for some arguments, and what was wanted; None where more than one result is right."""

    arguments: tuple
    found: np.ndarray
    wanted: np.ndarray | None


class Name(NamedTuple):
    """A known mistake that gives the answer; `certain` if it gives all other results of that answer as well."""

    known: Mistake
    certain: bool

    @property
    def parts(self) -> dict[str, str]:
        """The parts of a finding that bear the name. A guess is told as one, and is no misconception yet."""
        name, why = self.known.name, self.known.explanation
        if self.certain:
            return {"why": why, "misconception": name, "bug": self.known.bug}
        return {
            "why": f"Perhaps “{name}”: {why} (A guess: on this input yours gives the same, on others it does not.)"
        }


def candidates(
    mistakes: Iterable[Mistake], answer: Answer, *, by_type: bool
) -> list[Mistake]:
    """The mistakes that explain one wrong result, those first that give the very same numbers.

    With `by_type` the numbers are right, and only what gives them in the same type explains anything.
    """
    found = [
        (known, mistaken)
        for known in mistakes
        for mistaken in _results(known, answer.arguments)
        if _proven(mistaken, answer)
        and not _disproved(mistaken, answer)
        and (mistaken.dtype == answer.found.dtype or not by_type)
    ]
    exactly = [known for known, mistaken in found if agree(answer.found, mistaken)]
    return list(dict.fromkeys(exactly + [known for known, _ in found if not by_type]))


def explains(known: Mistake, answer: Answer) -> bool:
    """Whether the mistake gives this result too, in one of its spellings."""
    return any(
        _same_mistake(mistaken, answer)
        for mistaken in _results(known, answer.arguments)
    )


def _results(known: Mistake, arguments: tuple) -> Iterator[np.ndarray]:
    """What the spellings of a mistake give; one that is made for other arguments, and raises, gives nothing."""
    for function in (known.function, *known.spellings):
        try:
            with np.errstate(all="ignore"):
                mistaken = np.asarray(function(*arguments))
        except Exception:
            continue
        yield mistaken


def _same_mistake(mistaken: np.ndarray, answer: Answer) -> bool:
    """The two agree, but for places where one has a wrong NaN and the other 0 or infinity, as spellings of 0/0 have.

    Whoever blocks a query's own key has NaN in row 0, or zeros after `nan_to_num`: it is the same mistake.
    """
    _, found, wanted = answer
    if agree(found, mistaken):
        return True
    if wanted is None or not found.shape == mistaken.shape == wanted.shape:
        return False
    spelled = (
        (np.isnan(found) | np.isnan(mistaken))
        & ((found == 0) | ~np.isfinite(found))
        & ((mistaken == 0) | ~np.isfinite(mistaken))
        & ~np.isnan(wanted)
    )
    return bool((spelled | agreeing(found, mistaken)).all())


def _proven(mistaken: np.ndarray, answer: Answer) -> bool:
    """The result is that of the mistake, and where it is only a spelling of it, finite numbers show the mistake."""
    _, found, wanted = answer
    if agree(found, mistaken):
        return True
    if not _same_mistake(mistaken, answer):
        return False
    finite = np.isfinite(found) & np.isfinite(mistaken)
    return bool((finite & ~agreeing(mistaken, wanted)).any())


def _disproved(mistaken: np.ndarray, answer: Answer) -> bool:
    """The mistake is one about a type that the answer does not have, or the answer's own type explains it better.

    A mistake that gives booleans for numbers, or cuts the fractions off, says so: an answer of floats is another
    one. And where whole numbers are what is wanted without its fractions, that is the cause and no other.
    """
    _, found, wanted = answer
    if wanted is None or found.shape != wanted.shape or mistaken.shape != wanted.shape:
        return False
    if mistaken.dtype == bool and wanted.dtype != bool:
        return found.dtype != bool
    cut = wanted.dtype.kind == "f" and not agree(np.trunc(wanted), wanted)
    if not (cut and agree(found, np.trunc(wanted))):
        return False
    return (mistaken.dtype.kind in "iu") != (found.dtype.kind in "iu")
