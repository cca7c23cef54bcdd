"""Sliders that live twice: moved by a kernel in a notebook, and by a little script on the published page.

The page has no kernel, so every state of its sliders is drawn when the book is built. The rest of the
course calls `explore` and need not know which of the two lives a cell leads.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lib.explore.explorer import Explorer, Value, check_values, starting_state
from lib.explore.live import LiveExplorer, in_kernel
from lib.explore.page import BOOK_FOLDER, PageExplorer
from lib.figures import Picture

__all__ = ["BOOK_FOLDER", "Explorer", "explore"]


def explore(
    draw: Callable[..., Picture],
    /,
    *,
    caption: str | None = None,
    **controls: Sequence[Value],
) -> Explorer:
    """A picture with a slider for each control; as the last expression of a cell, it displays itself.

    `draw(**state)` is pure and returns ``show(figure, alt=…)``; the alternative text is also what a
    screen reader says when a slider moves. A control is a ``range``, a list or a tuple of numbers or
    strings, for example ``window=range(1, 9)``. It starts at the default that `draw` gives to this
    parameter, else at its first value.

    The cells of a matrix can be pointed at where `draw` ends with ``show(figure, alt=…, cells=…)``: with a
    mouse, a finger or the arrow keys in the book, with two more sliders in a notebook. They are no controls,
    so however many cells there are, no more pictures are drawn.

    Raises ValueError or TypeError where a control is not usable, where `draw` does not return a Picture,
    where the number of its cells changes, and, in the book's build, where there are more than 3 controls or
    120 states.
    """
    if not controls:
        raise ValueError(
            "explore: expected at least one control, for example window=range(1, 9); got none"
        )
    values = {name: check_values(name, given) for name, given in controls.items()}
    start = starting_state(draw, values)
    folder = os.environ.get(BOOK_FOLDER)
    if folder:
        return PageExplorer(draw, values, start, caption, folder=Path(folder))
    return (LiveExplorer if in_kernel() else Explorer)(draw, values, start, caption)
