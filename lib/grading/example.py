"""The example of a question with the picture of what is wanted, drawn from the reference answer."""

import html
import inspect
from dataclasses import dataclass

import numpy as np

from lib.grading import pictures
from lib.grading.known import exercise_of

FOLDED = "The wanted picture: open it after your first try"


@dataclass(frozen=True)
class Example:
    """One call and what it gives; as the output of a cell it shows itself, as text or as tables.

    With `folded` the picture must be opened first, for a question that is answered from memory.
    """

    call: str
    given: dict[str, np.ndarray]
    wanted: np.ndarray
    folded: bool

    def __repr__(self) -> str:
        given = [
            f"{name}:\n{pictures.shown(array)}" for name, array in self.given.items()
        ]
        wanted = FOLDED if self.folded else f"wanted:\n{pictures.shown(self.wanted)}"
        return "\n".join([self.call, *given, wanted])

    def _repr_html_(self) -> str:
        given = "".join(
            pictures.table(name, array) for name, array in self.given.items()
        )
        wanted = pictures.table("wanted", self.wanted)
        if self.folded:
            wanted = f"<details><summary>{FOLDED}</summary>{wanted}</details>"
        call = f"<p><code>{html.escape(self.call)}</code></p>"
        return f"<div>{call}{given}{wanted}</div>"


def example(question: str, name: str, *arguments, folded: bool = False) -> Example:
    """What the reference answer `name`, or a given function of that exercise, gives for `arguments`.

    Each array among the arguments and in the result must have one or two axes and be small, so that a table
    can show it.
    """
    function = getattr(exercise_of(question), name)
    bound = inspect.signature(function).bind(*arguments).arguments
    given = {
        key: value for key, value in bound.items() if isinstance(value, np.ndarray)
    }
    parts = [key if key in given else f"{key}={value}" for key, value in bound.items()]
    wanted = np.atleast_1d(np.asarray(function(*arguments)))
    for key, array in {**given, "the result": wanted}.items():
        if not pictures.drawable(array):
            raise ValueError(
                f"{key}: expected a vector or a matrix of at most {pictures.CELLS} numbers, got the shape "
                f"{array.shape}: choose a smaller example"
            )
    return Example(f"{name}({', '.join(parts)})", given, wanted, folded)
