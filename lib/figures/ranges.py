"""Pictures of range: what a query reads, what reaches it through layers, and from how far a trained model answers."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from lib.figures.cells import HATCHED, name_positions, paint_cells
from lib.figures.picture import ACCENT, DEEP, FAINT, INK, blank

# A row of more cells than this has a number at every fifth, or tenth, of them only.
ALL_NAMED = 24


def reach(
    rows: Mapping[str, np.ndarray],
    *,
    across: str,
    here: int | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Rows of cells, one above the other: filled is reached, hatched is not.

    `rows`: label → boolean (n,), first row on top; `across`: what the columns count, such as "key j" or "distance";
    `here`: the column of the query, framed; `names`: a word for each column, in place of its number
    (Chapter 7, "4 Which distances exist").
    """
    reached = np.array(list(rows.values()), dtype=bool)
    count, n = reached.shape
    cell = 0.24 if n <= ALL_NAMED else 0.115
    figure = blank(max(5.2, 1.9 + cell * n), 1.0 + 0.3 * count + 0.25 * bool(title))
    axes = figure.add_subplot()
    paint_cells(axes, np.ones(reached.shape), reached)
    if here is not None:
        frame = {"fill": False, "ec": ACCENT, "lw": 2.5}
        axes.add_patch(Rectangle((here - 0.5, -0.5), 1, count, **frame))
    name_positions(axes, list(rows), names or range(n), rotation=60 if names else 0)
    if names is None and n > ALL_NAMED:
        step = 5 if n <= 5 * ALL_NAMED else 10
        axes.set_xticks(range(0, n, step), range(0, n, step))
    axes.set_xlabel(across, color=INK)
    axes.set_title(title, fontsize=10, color=INK)
    return figure


def accuracy_panels(
    panels: Mapping[str, Mapping[int, float]],
    ranges: Sequence[int | None],
    *,
    chance: float,
) -> Figure:
    """Share of right answers against the distance, a panel for each model; hatched is where no wire leads.

    `panels`: title → distance → share; `ranges`: for each panel the farthest distance from which something can
    arrive, None where every one is in reach; `chance`: what guessing gets (Chapter 7, "6 The cliff, measured").
    """
    figure = blank(6.2, 0.6 + 1.25 * len(panels))
    for axes, (title, shares), edge in zip(
        figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0],
        panels.items(),
        ranges,
        strict=True,
    ):
        _paint_shares(axes, shares, edge, chance)
        axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel("distance from the question back to its fact", color=INK)
    figure.supylabel("share of right answers", fontsize=10, color=INK)
    return figure


def _paint_shares(
    axes: Axes, shares: Mapping[int, float], edge: int | None, chance: float
) -> None:
    distances = list(shares)
    if edge is not None:
        start, end = edge + 0.5, max(distances) + 0.5
        axes.add_patch(Rectangle((start, 0), end - start, 1.1, **HATCHED, zorder=0))
        axes.axvline(start, color=ACCENT, lw=2)
        if end - start > 2:  # room for the words
            style = {"ha": "center", "fontsize": 9, "color": INK}
            rim = [withStroke(linewidth=4, foreground="white")]
            axes.text((start + end) / 2, 0.6, "no path", path_effects=rim, **style)
    axes.axhline(chance, color=FAINT, lw=1, ls="--")
    axes.text(0.55, chance + 0.03, "chance", fontsize=8, color=INK)
    axes.plot(distances, list(shares.values()), "o-", color=DEEP, ms=5, lw=1.5)
    axes.set(xlim=(0.3, max(distances) + 0.5), ylim=(0, 1.1), yticks=[0, 0.5, 1])
    axes.locator_params(axis="x", integer=True, nbins=12)
    axes.spines[["top", "right"]].set_visible(False)
