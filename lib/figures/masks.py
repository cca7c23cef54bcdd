"""Pictures of masks: who may read whom, which tiles there are, and what leaks through a mask made by hand."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.figures.cells import (
    HATCHED,
    add_cells,
    name_positions,
    paint_cells,
    write_in_cell,
    written,
)
from lib.figures.influence import CROSS
from lib.figures.picture import ACCENT, DEEP, INK, blank
from lib.tiles import EMPTY, FULL, PARTIAL, TileMap


def mask_grid(
    masks: dict[str, np.ndarray], labels: Sequence[str] | None = None
) -> Figure:
    """Masks side by side, three in a row from five on: filled cells may attend, hatched cells may not.

    `masks`: title → boolean array (n_q, n_k); `labels`: one word for each position;
    the queries are the last n_q of them.
    """
    columns = min(len(masks), 2 if len(masks) < 5 else 3)
    rows = -(-len(masks) // columns)
    size = {1: 4.6, 2: 2.8, 3: 2.3}[columns]
    figure = blank(columns * size, rows * (size - 0.1))
    places = np.ravel(figure.subplots(rows, columns))
    for axes in places[len(masks) :]:
        axes.remove()
    for axes, (title, allowed) in zip(places, masks.items(), strict=False):
        paint_cells(axes, np.ones(allowed.shape), allowed)
        axes.set_aspect("equal")
        axes.set_title(title, fontsize=11, color=INK)
        if labels is None:
            axes.set(xticks=[], yticks=[])
        else:
            n_q, n_k = allowed.shape
            name_positions(axes, labels[n_k - n_q :], labels, rotation=60)
        axes.set_xlabel("key j", color=INK)
        axes.set_ylabel("query i", color=INK)
    return figure


def empty_rows(tokens: Sequence[str], allowed: np.ndarray, read_out: str) -> Figure:
    """A mask in which the rows without a key are framed: queries that may read nothing.

    `tokens`: n words; `allowed`: (n, n); `read_out`: a line of text above
    (Chapter 3, "Rows with nothing left to read").
    """
    n = len(tokens)
    figure = blank(1.6 + 0.4 * n, 1.3 + 0.36 * n)
    axes = figure.add_subplot()
    paint_cells(axes, np.ones(allowed.shape), allowed)
    for i in np.flatnonzero(~allowed.any(axis=1)):
        frame = {"fill": False, "ec": ACCENT, "lw": 3}
        axes.add_patch(Rectangle((-0.47, i - 0.45), n - 0.06, 0.9, **frame))
    queries = [f"{word}  {i}" for i, word in enumerate(tokens, start=1)]
    name_positions(axes, queries, tokens, rotation=60)
    axes.set_xlabel("key j", color=INK)
    axes.set_ylabel("query i", color=INK)
    axes.set_title(read_out, fontsize=11, color=INK)
    return figure


TILE_STYLES = {
    FULL: ("full", {"fc": DEEP, "ec": "white"}),
    PARTIAL: ("partial", {"fc": "#9cc3e6", "ec": DEEP, "hatch": "xxxx"}),
    EMPTY: ("empty", HATCHED),
}
LARGEST_TILE_MAP = 64


def tile_map(tiles: TileMap, title: str = "") -> Figure:
    """A tile map with its legend: full tiles are plain, partial ones cross-hatched, empty ones hatched.

    Raises ValueError for a map with a batch, or of more than 64 rows or columns (Chapter 9, "Skip what is empty").
    """
    figure = blank(4.6, 4.9)
    axes = figure.add_subplot()
    _paint_tiles(axes, tiles)
    axes.set_title(title, fontsize=11, color=INK)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return figure


def _paint_tiles(axes: Axes, tiles: TileMap) -> None:
    """A tile map on `axes`, with a label for each state, which a legend shows."""
    rows, columns = _drawable(tiles)
    for state, (name, style) in TILE_STYLES.items():
        add_cells(axes, tiles.states == state, **style)
        label = f"{name}: {tiles.count(state)}"
        axes.add_patch(Rectangle((0, 0), 0, 0, label=label, **style))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    axes.set_xlabel(f"tile of {tiles.size} keys", color=INK)
    axes.set_ylabel(f"tile of {tiles.size} queries", color=INK)
    axes.locator_params(integer=True, nbins=8)
    axes.spines[:].set_visible(False)


def mask_and_tiles(allowed: np.ndarray, tiles: TileMap, read_out: str) -> Figure:
    """A mask, and beside it the map of its tiles; a pair of the mask that is in the future has a cross.

    `allowed`: boolean (n, n), the mask pair by pair; `tiles`: its tile map; `read_out`: a line of text above, broken
    at each "; " (Chapter 7, "3 A block shows its own future").
    """
    figure = blank(7.4, 4.3)
    left, right = figure.subplots(1, 2)
    paint_cells(left, np.ones(allowed.shape), allowed)
    future = np.argwhere(np.triu(allowed, 1))
    size = min(12, 200 / len(allowed))
    label = f"reads the future: {len(future)} pairs"
    left.plot(*future.T[::-1], **CROSS, ms=size, mew=0.3, label=label)
    left.set_aspect("equal")
    left.locator_params(integer=True, nbins=8)
    left.set_xlabel("key j", color=INK)
    left.set_ylabel("query i", color=INK)
    _paint_tiles(right, tiles)
    figure.suptitle(read_out.replace("; ", "\n"), fontsize=10, color=INK)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def tile_map_alt(tiles: TileMap) -> str:
    """What a drawn tile map shows, in a sentence, for its alternative text."""
    rows, columns = _drawable(tiles)
    full, partial, empty = (tiles.count(state) for state in TILE_STYLES)
    return (
        f"A map of {rows} × {columns} tiles of {tiles.size} × {tiles.size} pairs: "
        f"{full} full, {partial} partial, {empty} empty."
    )


def _drawable(tiles: TileMap) -> tuple[int, int]:
    """The rows and columns of a tile map that is small enough for a picture."""
    if tiles.states.ndim != 2 or max(tiles.states.shape) > LARGEST_TILE_MAP:
        raise ValueError(
            f"tiles: expected one map of at most {LARGEST_TILE_MAP} rows and columns of tiles, got one of shape "
            f"{tiles.states.shape}; take larger tiles, as mask.tiles(n, size={2 * tiles.size}), or one row of a batch"
        )
    return tiles.states.shape


def leak_matrix(weights: np.ndarray, allowed: np.ndarray, read_out: str) -> Figure:
    """Weights under a mask: forbidden pairs are hatched, with a thick frame where a weight leaks through.

    `weights`, `allowed`: (n, n); `read_out`: a line of text above (Chapter 2, "Masks by hand").
    """
    n = len(weights)
    figure = blank(5.2, 3.6)
    axes = figure.add_subplot()
    paint_cells(axes, weights, allowed, texts=written(weights, 3), size=12)
    for i, j in np.argwhere(~allowed & (weights > 0)):
        frame = {"fill": False, "ec": ACCENT, "lw": 3}
        axes.add_patch(Rectangle((j - 0.46, i - 0.44), 0.92, 0.88, **frame))
        write_in_cell(axes, i + 0.32, j, "leak", 10, ACCENT, rim=True)
    name_positions(
        axes,
        [f"query {i + 1}" for i in range(n)],
        [f"key {j + 1}" for j in range(n)],
    )
    axes.set_title(read_out.replace("; ", "\n"), fontsize=11, color=INK)
    return figure
