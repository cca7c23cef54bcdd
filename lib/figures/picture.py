"""A figure with the sentence that says what to see in it, and the one style of all figures."""

import io

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# One style for every picture: colours that stay apart for colour-blind readers and in print, and
# always a second sign (a shape, a hatch, a number) beside the colour.
INK, ACCENT, FAINT, DEEP = "#1a2b42", "#b3541e", "#8795a8", "#1b4f8a"
CELLS = LinearSegmentedColormap.from_list("weights", ["#f4f8fc", "#5b9bd5", DEEP])
FORBIDDEN = "////"


class Picture:
    """A figure together with the sentence that says what to see in it.

    In a notebook it shows as a PNG. Its text form is the alternative text, so a terminal, a screen
    reader and the published book say the same thing.
    """

    def __init__(self, figure: Figure, alt: str):
        self.figure = figure
        self.alt = alt

    def encode(self, kind: str = "png") -> bytes:
        """The figure's pixels as a PNG or as a lossless WebP (``kind="webp"``)."""
        buffer = io.BytesIO()
        options = {"pil_kwargs": {"lossless": True}} if kind == "webp" else {}
        self.figure.savefig(buffer, format=kind, dpi=110, **options)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"text/plain": self.alt, "image/png": self.encode()}
        return data, {"image/png": {"alt": self.alt}}


def show(figure: Figure, *, alt: str) -> Picture:
    """Pair a figure with its alternative text; as the last line of a cell, this displays it.

    `alt` says what to see, not what the figure is: one or two sentences.
    """
    if not isinstance(figure, Figure):
        raise TypeError(
            f"figure: expected a Matplotlib Figure, got {type(figure).__name__}"
        )
    if not isinstance(alt, str) or len(alt.split()) < 3:
        raise ValueError(f"alt: expected a sentence that says what to see, got {alt!r}")
    return Picture(figure, alt)


def blank(width: float, height: float) -> Figure:
    """An empty figure of that many inches, in the style of the course."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def bare(axes: Axes) -> Axes:
    """The axes without ticks and frame."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes
