"""The one painter of cells. In every figure of a matrix a hatched cell is a forbidden pair."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from lib.figures.picture import CELLS, CELLS_GID, FAINT, FORBIDDEN, INK

# What a cell looks like that holds no shade, and one that is forbidden.
WHITE = {"fc": "white", "ec": FAINT}
HATCHED = {**WHITE, "hatch": FORBIDDEN}
# From this shade on, a number is written in white.
DARK = 0.55


def paint_cells(
    axes: Axes,
    shades: np.ndarray,
    allowed: np.ndarray,
    *,
    texts: np.ndarray | None = None,
    size: float = 9.5,
) -> None:
    """Paint a matrix of cells: rows are queries and columns keys, counted from the upper left corner.

    `shades` (n_q, n_k): from 0, pale, to 1, dark; a cell with NaN stays white. `allowed`: boolean of the same
    shape; the other cells are hatched, whatever stands in them. `texts`: what is written into the cells, in
    letters of `size` points.
    """
    n_q, n_k = allowed.shape
    shaded = allowed & ~np.isnan(shades)
    add_cells(axes, shaded, fc=CELLS(shades[shaded]), ec="white")
    add_cells(axes, allowed & ~shaded, **WHITE)
    add_cells(axes, ~allowed, **HATCHED)
    if texts is not None:
        for (i, j), text in np.ndenumerate(texts):
            on_dark = shaded[i, j] and shades[i, j] > DARK
            color = "white" if on_dark else INK
            write_in_cell(axes, i, j, text, size, color, rim=not allowed[i, j])
    axes.set(xlim=(-0.5, n_k - 0.5), ylim=(n_q - 0.5, -0.5))
    axes.set_gid(CELLS_GID)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def add_cells(axes: Axes, where: np.ndarray, **style) -> None:
    """Add a cell for each True of `where` (n_q, n_k): one collection, in one style."""
    cells = [Rectangle((j - 0.5, i - 0.5), 1, 1) for i, j in np.argwhere(where)]
    axes.add_collection(PatchCollection(cells, lw=0.8, **style), autolim=False)


def write_in_cell(
    axes: Axes, i: float, j: float, text: str, size: float, color: str, *, rim: bool
) -> None:
    """Write into the middle of a cell; a white rim keeps the text legible over a hatch."""
    effects = [withStroke(linewidth=4, foreground="white")] if rim else []
    style = {"fontsize": size, "color": color, "path_effects": effects}
    axes.text(j, i, text, ha="center", va="center", **style)


def name_positions(
    axes: Axes, rows: Sequence, columns: Sequence, *, rotation: float = 0
) -> None:
    """Name each row and each column, in the order of the positions; turned words end at their cell."""
    turned = {"rotation": rotation, "rotation_mode": "anchor", "ha": "right"}
    style = turned if rotation else {}
    axes.set_xticks(range(len(columns)), columns, fontsize=10, **style)
    axes.set_yticks(range(len(rows)), rows, fontsize=10)


def name_above(axes: Axes, rows: Sequence, columns: Sequence) -> None:
    """Name the positions of queries and keys, with the keys above the cells as in a printed matrix."""
    name_positions(axes, rows, columns)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    for word in axes.get_xticklabels():
        word.set(rotation=35, rotation_mode="anchor", ha="left")
    axes.set_ylabel("query i", color=INK)
    axes.set_xlabel("key j", color=INK)


def shades(values: np.ndarray) -> np.ndarray:
    """Numbers as shades: 0, or the least if it is negative, becomes 0 and the largest 1; −∞ and NaN have none (NaN)."""
    finite = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(finite).all():
        return finite
    low, high = min(0, np.nanmin(finite)), np.nanmax(finite)
    return (finite - low) / (high - low or 1)


def written(values: np.ndarray, decimals: int) -> np.ndarray:
    """The numbers as they are printed, strings of the same shape."""
    return np.array([[f"{value:.{decimals}f}" for value in row] for row in values])
