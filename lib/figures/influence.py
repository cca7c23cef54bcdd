"""Pictures of influence: which output moves with which input, and which must not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lib.figures.cells import HATCHED, name_positions, paint_cells
from lib.figures.picture import ACCENT, DEEP, INK, blank


@dataclass(frozen=True)
class Panel:
    """One panel of `influence`; every array is (n, n), rows are outputs.

    `moves`: output i moves when input j changes; `allowed`: it may; `lost`: it should and does not;
    `weights`: shades for the cells that move, written as NaN where they are NaN.
    """

    title: str
    moves: np.ndarray
    allowed: np.ndarray
    lost: np.ndarray | None = None
    weights: np.ndarray | None = None

    def kinds(self) -> dict[str, np.ndarray]:
        """What a pair does → where it does it, boolean (n, n); a pair does one thing at most."""
        lost = np.zeros_like(self.moves) if self.lost is None else self.lost
        leaks = self.moves & ~self.allowed
        return {
            READS: self.moves & self.allowed & ~lost,
            LEAK: leaks,
            LOST: lost & ~leaks,
            HIDDEN: ~self.moves & ~self.allowed & ~lost,
        }


READS, LEAK = "reads", "reads, and must not"
LOST, HIDDEN = "should read, and does not", "must not read"
CROSS = {"marker": "X", "color": ACCENT, "mec": "white", "ls": ""}
RING = {"marker": "o", "mfc": "none", "color": ACCENT, "ls": "", "ms": 9, "mew": 2}
_KEY = {
    READS: Rectangle((0, 0), 1, 1, fc=DEEP),
    LEAK: Line2D([], [], ms=10, **CROSS),
    LOST: Line2D([], [], **RING),
    HIDDEN: Rectangle((0, 0), 1, 1, lw=0.8, **HATCHED),
}


def influence(
    panels: Sequence[Panel], *, rows: str = "output i", columns: str = "input j"
) -> Figure:
    """Which output moves with which input, a panel beside the other (Chapter 4, "2 The probe").

    A pair has a shape for what it does: filled where it is allowed and moves, hatched where it is forbidden,
    with a cross where it moves all the same (a leak), and a ring where it should move and does not.
    """
    n = len(panels[0].moves)
    size = max(2.3, 0.34 * n)
    # Two columns of the key need their width, even under a single panel.
    figure = blank(max(4.6, 0.35 + size * len(panels)), size + 1.1)
    for axes, panel in zip(
        np.ravel(figure.subplots(1, len(panels))), panels, strict=True
    ):
        _paint_panel(axes, panel)
        axes.set_title(panel.title, fontsize=11, color=INK)
        axes.set_xlabel(columns, color=INK)
        axes.set_ylabel(rows, color=INK)
    seen = [kind for kind in _KEY if any(panel.kinds()[kind].any() for panel in panels)]
    figure.legend(
        [_KEY[kind] for kind in seen], seen, loc="outside lower center",
        ncols=2, frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.3,
    )  # fmt: skip
    return figure


def _paint_panel(axes: Axes, panel: Panel) -> None:
    n_q, n_k = panel.moves.shape
    weights = np.full((n_q, n_k), np.nan) if panel.weights is None else panel.weights
    kinds = panel.kinds()
    shades = np.where(np.isnan(weights), 1.0, 0.35 + 0.65 * weights)
    paint_cells(axes, np.where(kinds[READS], shades, np.nan), panel.allowed)
    axes.plot(*np.argwhere(kinds[LEAK]).T[::-1], ms=12, **CROSS)
    axes.plot(*np.argwhere(kinds[LOST]).T[::-1], **RING)
    if panel.weights is not None:
        # Behind its row, so that no cell is covered.
        for i in np.flatnonzero(np.isnan(panel.weights).all(axis=1)):
            style = {"fontsize": 10, "fontweight": "bold", "color": ACCENT}
            axes.text(n_k - 0.4, i, "NaN", ha="left", va="center", **style)
    axes.set_aspect("equal")
    name_positions(axes, range(n_q), range(n_k))
