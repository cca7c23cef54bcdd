"""A figure with the sentence that says what to see in it, and the one style of all figures."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

# One style for every picture: colours that stay apart for colour-blind readers and in print, and
# always a second sign (a shape, a hatch, a number) beside the colour.
INK, ACCENT, FAINT, DEEP = "#1a2b42", "#b3541e", "#8795a8", "#1b4f8a"
LIGHT = "#5b9bd5"
CELLS = LinearSegmentedColormap.from_list("weights", ["#f4f8fc", LIGHT, DEEP])
FORBIDDEN = "////"
DPI = 110


# The painter of cells leaves this mark on its axes, and a picture finds its cells by it.
CELLS_GID = "cells"


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a picture that a reader may point at.

    `says`: the sentence of each cell, (n_q, n_k); `box`: left, top, width and height of all cells together,
    in parts of the picture's width and height; `rows`, `columns`: what a row and a column is called.
    """

    says: np.ndarray
    box: tuple[float, float, float, float]
    rows: str
    columns: str


class Picture:
    """A figure together with the sentence that says what to see in it.

    In a notebook it shows as a PNG. Its text form is the alternative text, so a terminal, a screen
    reader and the published book say the same thing. `cells` is what `explore` lets a reader point at.
    """

    def __init__(self, figure: Figure, alt: str, cells: Cells | None = None):
        self.figure = figure
        self.alt = alt
        self.cells = cells

    def encode(self, kind: str = "png") -> bytes:
        """The figure's pixels as a PNG or as a lossless WebP (``kind="webp"``).

        They are those of Matplotlib's `savefig`, which draws every figure twice: the first time to lay it out.
        """
        self.settle()
        canvas = self.figure.canvas
        canvas.draw()
        buffer = io.BytesIO()
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba()))
        pixels.save(buffer, kind, **({"lossless": True} if kind == "webp" else {}))
        return buffer.getvalue()

    def settle(self) -> None:
        """Give the axes their places, once; what is drawn later finds them there."""
        settle(self.figure)

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"text/plain": self.alt, "image/png": self.encode()}
        return data, {"image/png": {"alt": self.alt}}


def show(
    figure: Figure, *, alt: str, cells: Sequence[Sequence[str]] | None = None
) -> Picture:
    """Pair a figure with its alternative text; as the last line of a cell, this displays it.

    `alt` says what to see, not what the figure is: one or two sentences. `cells` (n_q, n_k): a sentence for
    each cell of the figure's one matrix, which `explore` shows where a reader points.

    Raises TypeError or ValueError where there is no figure, no sentence, or no matrix that fits `cells`.
    """
    if not isinstance(figure, Figure):
        raise TypeError(
            f"figure: expected a Matplotlib Figure, got {type(figure).__name__}"
        )
    if not isinstance(alt, str) or len(alt.split()) < 3:
        raise ValueError(f"alt: expected a sentence that says what to see, got {alt!r}")
    return Picture(figure, alt, None if cells is None else _locate(figure, cells))


def _locate(figure: Figure, says: Sequence[Sequence[str]]) -> Cells:
    """Where the cells of the figure's one matrix lie, with what they say."""
    painted = [axes for axes in figure.axes if axes.get_gid() == CELLS_GID]
    shapes = [
        (round(np.ptp(axes.get_ylim())), round(np.ptp(axes.get_xlim())))
        for axes in painted
    ]
    sentences = np.array(says, dtype=str)
    if shapes != [sentences.shape]:
        raise ValueError(
            f"cells: expected a sentence for each cell of the figure's one matrix, got sentences of shape "
            f"{sentences.shape} for matrices of shapes {shapes}; draw one matrix, or leave out `cells`"
        )
    settle(figure)
    (axes,) = painted
    left, bottom, width, height = map(float, axes.get_position().bounds)
    box = (left, 1 - bottom - height, width, height)
    return Cells(sentences, box, axes.get_ylabel(), axes.get_xlabel())


def settle(figure: Figure) -> None:
    """Lay a figure out: only then have its axes their places. It is laid out once."""
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")


def blank(width: float, height: float) -> Figure:
    """An empty figure of that many inches, in the style of the course."""
    size = {"figsize": (width, height), "dpi": DPI}
    return Figure(**size, layout="constrained", facecolor="white")


def bare(axes: Axes) -> Axes:
    """The axes without ticks and frame."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes
