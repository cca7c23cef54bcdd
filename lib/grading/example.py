"""The example of a question with the picture of what is wanted, drawn from the reference answer."""

import html
import inspect
from dataclasses import dataclass

import numpy as np

from lib.grading import pictures
from lib.grading.exercises import exercise_of

FOLDED = "The wanted picture: open it after your first try"


@dataclass(frozen=True)
class Example:
    """One call and what it gives; as the output of a cell it shows itself, as text or as tables.

    With `folded` the picture must be opened first, for a question that is answered from memory.
    """

    name: str
    call: str
    given: dict[str, np.ndarray]
    result: np.ndarray
    folded: bool

    def __repr__(self) -> str:
        given = [_line(name, array) for name, array in self.given.items()]
        result = FOLDED if self.folded else _line(self.name, self.result)
        return "\n".join([self.call, *given, result])

    def _repr_html_(self) -> str:
        given = "".join(
            pictures.table(name, array) for name, array in self.given.items()
        )
        result = pictures.table(self.name, self.result)
        if self.folded:
            result = f"<details><summary>{FOLDED}</summary>{result}</details>"
        call = f"<p><code>{html.escape(self.call)}</code></p>"
        return f"<div>{call}{given}{result}</div>"


def _line(name: str, array: np.ndarray) -> str:
    text = pictures.shown(array)
    return f"{name}:\n{text}" if "\n" in text else f"{name}: {text}"


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
    parts = [
        key if key in given else f"{key}={pictures.argument(value)}"
        for key, value in bound.items()
    ]
    result = np.atleast_1d(np.asarray(function(*arguments)))
    for key, array in {**given, "the result": result}.items():
        if not pictures.drawable(array):
            raise ValueError(
                f"{key}: expected a vector or a matrix of at most {pictures.CELLS} numbers, got the shape "
                f"{array.shape}: choose a smaller example"
            )
    return Example(name, f"{name}({', '.join(parts)})", given, result, folded)
