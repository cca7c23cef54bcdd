"""Pictures of values in the plane: the hull of those that a query may read, and its output among them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from lib.figures.picture import ACCENT, DEEP, FAINT, INK, LIGHT, blank
from lib.figures.weights import weight_bars


def attention_state(
    tokens: Sequence[str],
    values: np.ndarray,
    weights: np.ndarray,
    allowed: np.ndarray,
    output: np.ndarray,
    coordinates: Sequence[str],
    title: str = "",
) -> Figure:
    """One query's attention in two panels: its weights over the sentence, and its output among the values."""
    figure = blank(4.8, 5.6)
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.7))
    above.set_title(title, fontsize=11, color=INK)
    weight_bars(above, tokens, weights, allowed)
    value_plane(below, values, tokens, weights, allowed, output, coordinates)
    return figure


def plane(
    tokens: Sequence[str],
    values: np.ndarray,
    weights: np.ndarray,
    allowed: np.ndarray,
    output: np.ndarray,
    coordinates: Sequence[str],
) -> Figure:
    """The value plane alone, as a picture of its own."""
    figure = blank(4.8, 3.8)
    axes = figure.add_subplot()
    value_plane(axes, values, tokens, weights, allowed, output, coordinates)
    # Equal units on both axes and a constrained layout settle only after a first drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def value_plane(
    axes: Axes,
    values: np.ndarray,
    labels: Sequence[str],
    weights: np.ndarray,
    allowed: np.ndarray,
    output: np.ndarray,
    coordinates: Sequence[str],
) -> None:
    """Values in the plane: dots as large as their weight, the hull of the visible ones, the output.

    `values`: (n, 2); `weights`, `allowed`: (n,); `output`: (2,); `coordinates`: what the two numbers of a value are
    called (Chapter 1, "Every output lies between").
    """
    visible = values[allowed]
    hull = visible[hull_order(visible)]
    axes.add_patch(Polygon(hull, closed=True, fc="#dce9f6", ec=LIGHT, lw=1.2, zorder=0))
    hidden = values[~allowed]
    axes.scatter(*hidden.T, marker="x", s=28, color=FAINT, zorder=1)
    axes.scatter(
        *visible.T, s=22 + 420 * weights[allowed], color=DEEP, alpha=0.85, zorder=2
    )
    axes.scatter(*output, marker="*", s=330, color=ACCENT, ec="white", zorder=4)
    middle = values.mean(axis=0)
    for place in dict.fromkeys(
        map(tuple, values)
    ):  # tokens with one value share one label
        names = " ".join(
            dict.fromkeys(
                t for t, v in zip(labels, values, strict=True) if tuple(v) == place
            )
        )
        # The label stands on the outer side of its dot; where it meets an edge of the hull, its rim parts the line.
        right, up = place - middle
        largest = weights[(values == place).all(axis=1)].max()
        reach = (5 + np.sqrt(22 + 420 * largest) / 2) / max(np.hypot(right, up), 1e-9)
        axes.annotate(
            names,
            place,
            xytext=(right * reach, up * reach),
            textcoords="offset points",
            ha="left" if right > 0 else "right",
            va="bottom" if up > 0 else "top",
            fontsize=9.5,
            color=INK,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=3,
        )
    axes.margins(0.16)
    axes.locator_params(nbins=6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(coordinates[0], color=INK)
    axes.set_ylabel(coordinates[1], color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def hull_order(points: np.ndarray) -> np.ndarray:
    """Indices of the corners of the convex hull of `points` (m, 2), counter-clockwise (Andrew 1979)."""
    order = np.lexsort((points[:, 1], points[:, 0]))

    def chain(indices):
        corners: list[int] = []
        for index in indices:
            while (
                len(corners) > 1
                and _turn(points[corners[-2]], points[corners[-1]], points[index]) <= 0
            ):
                corners.pop()
            corners.append(index)
        return corners

    lower, upper = chain(order), chain(order[::-1])
    return np.array(lower[:-1] + upper[:-1] or lower)


def _turn(a, b, c) -> float:
    """Positive when a → b → c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
