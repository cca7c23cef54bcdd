"""A number of the learner's own: which known formula it comes from, or how else it differs from the right one."""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from lib.grading.comparing import NOT_A_NUMBER
from lib.grading.faults import COMMA
from lib.grading.known import Mistake

ANOTHER_NUMBER = "It is another number. Write it as a formula of your own numbers; the hints say how."


def known_number(
    found: float, mistakes: Iterable[Mistake], student_id: str, within: float
) -> Mistake | None:
    """The mistake whose formula gives `found` up to `within`; of several, the one that comes nearest."""
    near = []
    for known in mistakes:
        with suppress(ValueError):  # a formula for other numbers
            gap = abs(found - known.function(student_id))
            if gap <= within:
                near.append((gap, known))
    return min(near, key=lambda pair: pair[0])[1] if near else None


def other_number(found: float, right: float) -> str:
    """What is told about a number that is neither right nor given by a known formula."""
    if np.isnan(found):
        return f"It holds NaN, which is not a number: {NOT_A_NUMBER}"
    if abs(found - 100 * right) <= 0.5 and right:
        return "That is 100 times the number. Did you make a percentage of it? Give the number itself."
    for decimals in (1, 0):
        if found == round(right, decimals):
            kept = "one decimal" if decimals else "a whole number"
            return f"That is the right number rounded to {kept}: more of it is asked for. Give it as it was computed."
    return ANOTHER_NUMBER


def not_one_number(name: str, found: np.ndarray) -> str:
    """What is told about an array where one number is asked for."""
    told = f"`{name}` should be one number; it has the shape {found.shape}."
    pair = found.shape == (2,) and found.dtype.kind in "iu"  # what 0,85 is in Python
    return f"{told} {COMMA}" if pair else told
