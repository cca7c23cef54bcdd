"""Pictures of number formats: what they hold, where a weight becomes 0, and what a mask leaves of a row of scores."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.figures.cells import name_above, paint_cells, shades
from lib.figures.picture import ACCENT, DEEP, FAINT, INK, blank

# Beyond this a number is written by its power of ten.
LONG = 1e4


def rulers(formats: dict[str, tuple[float, float]], marks: dict[str, float]) -> Figure:
    """Number formats as bars on one logarithmic ruler, with numbers that one would like to store.

    `formats`: name → smallest and largest positive number; `marks`: label → number. A mark beyond the right end
    of a bar says ∞ there, one beyond its left end 0 (Chapter 3, "What a format can hold").
    """
    figure = blank(6.2, 0.9 + 0.55 * len(formats))
    axes = figure.add_subplot()
    for row, (smallest, largest) in enumerate(formats.values()):
        low, high = np.log10(smallest), np.log10(largest)
        axes.barh(row, high - low, left=low, height=0.5, color=DEEP)
        for place in np.log10(list(marks.values())):
            if not low <= place <= high:
                becomes = "∞" if place > high else "0"
                style = {"fontsize": 12, "color": ACCENT, "ha": "center"}
                axes.text(place, row, becomes, va="center", **style)
            else:
                axes.plot(place, row, "o", color="white", ms=5)
    for name, number in marks.items():
        style = {"fontsize": 11, "color": INK, "ha": "center", "va": "bottom"}
        axes.axvline(np.log10(number), color=FAINT, lw=0.8, zorder=0)
        axes.text(np.log10(number), -0.4, name, **style)
    axes.set_yticks(range(len(formats)), formats, fontsize=10)
    axes.xaxis.set_major_formatter("$10^{{{x:.0f}}}$")
    axes.set_ylim(len(formats) - 0.5, -0.7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("size of the number", color=INK)
    return figure


def cliffs(constants: np.ndarray, weights: dict[str, np.ndarray]) -> Figure:
    """The weight that a constant leaves a hidden key, and the cliff where its format rounds it to 0.

    `constants`: (n,), increasing; `weights`: format → the measured weights, (n,), of which the last may be 0
    (Chapter 3, "How negative is enough").
    """
    figure = blank(6.0, 3.4)
    axes = figure.add_subplot()
    floor = min(weight[weight > 0].min() for weight in weights.values()) / 1e4
    for color, (name, weight) in zip(
        (ACCENT, INK, DEEP, FAINT), weights.items(), strict=False
    ):
        seen = weight > 0
        edge, last = constants[seen][-1], weight[seen][-1]
        axes.semilogy(constants[seen], weight[seen], color=color, lw=2)
        axes.annotate(f"  {name}", (edge, last), color=color, fontsize=11)
        if not seen.all():
            axes.vlines(edge, floor, last, color=color, lw=2, ls="--")
            axes.plot(edge, last, "o", color=color, ms=7)
            axes.annotate(" 0", (edge, floor), color=color, fontsize=12, va="bottom")
    axes.set_ylim(floor, 10)
    axes.set_xlabel("constant C subtracted from the hidden score", color=INK)
    axes.set_ylabel("its weight", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def score_panels(panels: dict[str, np.ndarray], allowed: np.ndarray) -> Figure:
    """Matrices of scores side by side under one mask; NaN is framed, and −∞ written out.

    `panels`: title → scores (n, n); `allowed`: (n, n), whose False are hatched (Chapter 3, "What a format can hold").
    """
    n = len(allowed)
    figure = blank(len(panels) * (0.9 + 0.62 * n), 1.2 + 0.5 * n)
    for axes, (title, scores) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        texts = np.vectorize(_short, otypes=[str])(scores)
        shown = np.where(allowed, scores, np.nan)
        paint_cells(axes, shades(shown), allowed, texts=texts, size=11)
        for i, j in np.argwhere(np.isnan(scores)):
            frame = {"fill": False, "ec": ACCENT, "lw": 3}
            axes.add_patch(Rectangle((j - 0.46, i - 0.44), 0.92, 0.88, **frame))
        name_above(axes, range(1, n + 1), range(1, n + 1))
        axes.set_title(title, fontsize=11, color=INK)
    return figure


def _short(number: float) -> str:
    """A score as it is written into a cell."""
    if np.isnan(number):
        return "NaN"
    if np.isinf(number):
        return "∞" if number > 0 else "−∞"
    if abs(number) >= LONG:
        digits, power = f"{number:.0e}".replace("-", "−").split("e")
        return f"{digits}e{int(power)}"
    return f"{number:.1f}"
