"""Pictures of masks, weights and values: pure drawing functions, and `show`, where alt text is given.

Each drawing function takes arrays and returns a Matplotlib figure. It reads nothing else and changes
nothing else, so the same arguments always give the same pixels.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.patheffects import withStroke

from lib.tiles import EMPTY, FULL, PARTIAL, TileMap


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


# One style for every picture: colours that stay apart for colour-blind readers and in print, and
# always a second sign (a shape, a hatch, a number) beside the colour.
INK, ACCENT, FAINT = "#1a2b42", "#b3541e", "#8795a8"
CELLS = LinearSegmentedColormap.from_list("weights", ["#f4f8fc", "#5b9bd5", "#1b4f8a"])
FORBIDDEN = "////"


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _bare(axes: Axes) -> Axes:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def attention_arcs(tokens: Sequence[str], weights: np.ndarray, query: int) -> Figure:
    """The sentence, with an arc from one query to each key it reads, as thick as the weight.

    `weights`: (n,), row `query` of the weights (Chapter 1).
    """
    figure = _figure(5.4, 2.3)
    axes = _bare(figure.add_subplot())
    n = len(tokens)
    for j, (token, weight) in enumerate(zip(tokens, weights, strict=True)):
        is_query = j == query
        axes.text(
            j, 0, token, ha="center", va="top", fontsize=12, color=ACCENT if is_query else INK,
            weight="bold" if is_query else "normal",
        )  # fmt: skip
        axes.text(
            j, -0.62, f"{weight:.2f}", ha="center", va="top", fontsize=10, color=INK
        )
        if weight > 0:
            angle = np.linspace(0, np.pi, 60)
            reach = abs(query - j) / 2
            height = 0.25 + 0.42 * reach if reach else 0.3
            x = (query + j) / 2 + np.cos(angle) * (reach or 0.22)
            axes.plot(
                x,
                0.12 + np.sin(angle) * height,
                color=ACCENT,
                lw=0.4 + 8 * weight,
                alpha=0.75,
            )
    axes.set(xlim=(-0.6, n - 0.4), ylim=(-1.0, 2.0))
    return figure


def matrix(
    values: np.ndarray,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    allowed: np.ndarray | None = None,
    title: str = "",
    decimals: int = 2,
) -> Figure:
    """A matrix of numbers as shaded cells; pairs that are not allowed are hatched.

    `values`: (n_q, n_k) with one label per row and column; `allowed`: boolean, the same shape.
    """
    n_q, n_k = values.shape
    figure = _figure(1.2 + 0.48 * n_k, 0.9 + 0.38 * n_q)
    axes = figure.add_subplot()
    axes.imshow(
        np.where(np.isfinite(values), values, np.nan),
        cmap=CELLS,
        aspect="auto",
        vmin=min(0, values.min()),
    )
    for i in range(n_q):
        for j in range(n_k):
            if allowed is not None and not allowed[i, j]:
                cell = Rectangle(
                    (j - 0.5, i - 0.5),
                    1,
                    1,
                    hatch=FORBIDDEN,
                    fill=True,
                    fc="white",
                    ec=FAINT,
                    lw=0,
                )
                axes.add_patch(cell)
            else:
                dark = values[i, j] > 0.55 * values.max()
                axes.text(
                    j, i, f"{values[i, j]:.{decimals}f}", ha="center", va="center", fontsize=9.5,
                    color="white" if dark else INK,
                )  # fmt: skip
    axes.set_xticks(
        range(n_k),
        columns if columns is not None else range(n_k),
        fontsize=10,
        rotation=35,
    )
    axes.set_yticks(range(n_q), rows if rows is not None else range(n_q), fontsize=10)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_ylabel("query i", color=INK)
    axes.set_xlabel("key j", color=INK)
    axes.xaxis.set_label_position("top")
    axes.set_title(title, fontsize=11, color=INK)
    axes.spines[:].set_visible(False)
    return figure


def weight_bars(
    axes: Axes, tokens: Sequence[str], weights: np.ndarray, allowed: np.ndarray
) -> None:
    """One row of weights as bars over the sentence; tokens that may not be read are hatched."""
    n = len(tokens)
    for j in range(n):
        if not allowed[j]:
            axes.axvspan(j - 0.5, j + 0.5, fc="white", ec=FAINT, hatch=FORBIDDEN, lw=0)
    bars = axes.bar(
        range(n), weights, width=0.7, color=np.where(allowed, "#1b4f8a", "none")
    )
    labels = [
        f"{w:.2f}" if may else "" for w, may in zip(weights, allowed, strict=True)
    ]
    axes.bar_label(bars, labels, fontsize=9, color=INK, padding=1)
    axes.set_xticks(range(n), tokens, rotation=35, fontsize=10)
    axes.set(ylim=(0, 1.12), xlim=(-0.5, n - 0.5))
    axes.set_ylabel("weight", color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def value_plane(
    axes: Axes,
    values: np.ndarray,
    labels: Sequence[str],
    weights: np.ndarray,
    allowed: np.ndarray,
    output: np.ndarray,
) -> None:
    """Values in the plane: dots as large as their weight, the hull of the visible ones, the output.

    `values`: (n, 2); `weights`, `allowed`: (n,); `output`: (2,) (Chapter 1, "Every output lies between").
    """
    visible = values[allowed]
    hull = visible[hull_order(visible)]
    axes.add_patch(
        Polygon(hull, closed=True, fc="#dce9f6", ec="#5b9bd5", lw=1.2, zorder=0)
    )
    hidden = values[~allowed]
    axes.scatter(*hidden.T, marker="x", s=28, color=FAINT, zorder=1)
    axes.scatter(
        *visible.T, s=22 + 420 * weights[allowed], color="#1b4f8a", alpha=0.85, zorder=2
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
    axes.set_xlabel("first coordinate of the value", color=INK)
    axes.set_ylabel("second coordinate", color=INK)
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


def attention_state(
    tokens: Sequence[str],
    values: np.ndarray,
    weights: np.ndarray,
    allowed: np.ndarray,
    output: np.ndarray,
    title: str = "",
) -> Figure:
    """One query's attention in two panels: its weights over the sentence, and its output among the values."""
    figure = _figure(4.8, 5.6)
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.7))
    above.set_title(title, fontsize=11, color=INK)
    weight_bars(above, tokens, weights, allowed)
    value_plane(below, values, tokens, weights, allowed, output)
    return figure


def plane(
    tokens: Sequence[str],
    values: np.ndarray,
    weights: np.ndarray,
    allowed: np.ndarray,
    output: np.ndarray,
) -> Figure:
    """The value plane alone, as a picture of its own."""
    figure = _figure(4.8, 3.8)
    value_plane(figure.add_subplot(), values, tokens, weights, allowed, output)
    # Equal units on both axes and a constrained layout settle only after a first drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def share_bars(weights: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> Figure:
    """Weights beside shares: how much each value is weighed, and how much of each coordinate it makes up.

    `weights`: (n,), `shares`: (n, d_v), each column summing to 1 (Chapter 1, "Weights are not shares").
    """
    figure = _figure(5.8, 2.9)
    axes = figure.add_subplot()
    columns = np.column_stack([weights, shares])
    ticks = [
        "weights",
        *(f"shares of\ncoordinate {c + 1}" for c in range(shares.shape[1])),
    ]
    bottom = np.zeros(columns.shape[1])
    for row, name, color, hatch in zip(
        columns, names, ("#1b4f8a", "#f0c9a6"), ("", "..."), strict=True
    ):
        bars = axes.bar(
            range(len(ticks)),
            row,
            0.62,
            bottom,
            color=color,
            ec="white",
            hatch=hatch,
            label=name,
        )
        labels = axes.bar_label(
            bars,
            [f"{100 * share:.1f} %" for share in row],
            label_type="center",
            fontsize=10,
        )
        for label in labels:
            label.set(color="white" if hatch == "" else INK)
        bottom += row
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_yticks([])
    axes.set(xlim=(-0.5, len(ticks) + 0.25))
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, loc="center right", reverse=True)
    return figure


def attention_flow() -> Figure:
    """One attention output from start to end, as boxes and arrows (Chapter 1, Definition 1.1)."""
    figure = _figure(5.6, 4.3)
    axes = _bare(figure.add_subplot())
    boxes = {
        "x_i": (1.0, 4.0, "token $i$\n$x_i$"),
        "x_j": (4.3, 4.0, "each token $j$ it may read\n$x_j$"),
        "q": (1.0, 2.9, "query $q_i$"),
        "k": (3.4, 2.9, "key $k_j$"),
        "v": (5.2, 2.9, "value $v_j$"),
        "s": (2.2, 1.9, "score\n$s_{ij} = q_i \\cdot k_j / \\sqrt{d_k}$"),
        "w": (2.2, 0.85, "weight $\\alpha_{ij}$\nsoftmax over the allowed $j$"),
        "a": (5.2, 0.85, "output $a_i$\n$\\sum_j \\alpha_{ij} v_j$"),
    }
    arrows = ("x_i q", "x_j k", "x_j v", "q s", "k s", "s w", "w a", "v a")
    frames = {}
    for name, (x, y, text) in boxes.items():
        color = ACCENT if name == "a" else "#1b4f8a"
        frame = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": color, "lw": 1.5}
        label = axes.text(
            x, y, text, ha="center", va="center", fontsize=11, color=INK, bbox=frame
        )
        frames[name] = label.get_bbox_patch()
    for arrow in arrows:
        start, end = arrow.split()
        style = {
            "arrowstyle": "-|>",
            "color": FAINT,
            "lw": 1.6,
            "shrinkA": 3,
            "shrinkB": 3,
        }
        ends = {"patchA": frames[start], "patchB": frames[end]}
        axes.annotate("", boxes[end][:2], boxes[start][:2], arrowprops=style | ends)
    axes.set(xlim=(0, 6.3), ylim=(0.3, 4.5))
    return figure


def mask_grid(
    masks: dict[str, np.ndarray], labels: Sequence[str] | None = None
) -> Figure:
    """Masks side by side: filled cells may attend, hatched cells may not.

    `masks`: title → boolean array (n_q, n_k); `labels`: one word for each position.
    """
    columns = min(len(masks), 2)
    rows = -(-len(masks) // columns)
    size = 4.6 if columns == 1 else 2.8
    figure = _figure(columns * size, rows * (size - 0.1))
    for axes, (title, allowed) in zip(
        np.ravel(figure.subplots(rows, columns)), masks.items(), strict=False
    ):
        _mask_cells(axes, allowed)
        axes.set_title(title, fontsize=11, color=INK)
        axes.set_xticks(range(allowed.shape[1]), labels or [], rotation=60, fontsize=10)
        axes.set_yticks(range(allowed.shape[0]), labels or [], fontsize=10)
        if labels is None:
            axes.set(xticks=[], yticks=[])
        axes.set_xlabel("key j", color=INK)
        axes.set_ylabel("query i", color=INK)
    return figure


def _mask_cells(axes: Axes, allowed: np.ndarray) -> None:
    n_q, n_k = allowed.shape
    for i in range(n_q):
        for j in range(n_k):
            style = (
                {"fc": "#1b4f8a", "ec": "white"}
                if allowed[i, j]
                else {"fc": "white", "ec": FAINT, "hatch": FORBIDDEN}
            )
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, lw=0.8, **style))
    axes.set(xlim=(-0.5, n_k - 0.5), ylim=(n_q - 0.5, -0.5), aspect="equal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


TILE_STYLES = {
    FULL: ("full", {"fc": "#1b4f8a", "ec": "white"}),
    PARTIAL: ("partial", {"fc": "#9cc3e6", "ec": "#1b4f8a", "hatch": "xxxx"}),
    EMPTY: ("empty", {"fc": "white", "ec": "#c3ccd8", "hatch": FORBIDDEN}),
}
LARGEST_TILE_MAP = 64


def tile_map(tiles: TileMap, title: str = "") -> Figure:
    """A tile map with its legend: full tiles are plain, partial ones cross-hatched, empty ones hatched.

    Raises ValueError for a map with a batch, or of more than 64 rows or columns (Chapter 9, "Tiles").
    """
    rows, columns = _drawable(tiles)
    figure = _figure(4.6, 4.9)
    axes = figure.add_subplot()
    for state, (name, style) in TILE_STYLES.items():
        cells = [Rectangle((c, r), 1, 1) for r, c in np.argwhere(tiles.states == state)]
        axes.add_collection(PatchCollection(cells, lw=0.8, **style))
        label = f"{name}: {tiles.count(state)}"
        axes.add_patch(Rectangle((0, 0), 0, 0, label=label, **style))
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(f"tile of {tiles.size} keys", color=INK)
    axes.set_ylabel(f"tile of {tiles.size} queries", color=INK)
    axes.locator_params(integer=True, nbins=8)
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=10)
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
    """Weights under a mask, with a thick frame around what falls on forbidden pairs, and a line of text.

    `weights`, `allowed`: (n, n) (Chapter 2, "Masks by hand").
    """
    n = len(weights)
    figure = _figure(5.2, 3.6)
    axes = figure.add_subplot()
    axes.imshow(weights, cmap=CELLS, vmin=0, vmax=1, aspect="auto")
    for i in range(n):
        for j in range(n):
            leaks = not allowed[i, j] and weights[i, j] > 0
            color = "white" if weights[i, j] > 0.55 else INK
            axes.text(
                j,
                i,
                f"{weights[i, j]:.3f}",
                ha="center",
                va="center",
                fontsize=12,
                color=color,
            )
            if leaks:
                frame = Rectangle(
                    (j - 0.46, i - 0.44), 0.92, 0.88, fill=False, ec=ACCENT, lw=3
                )
                axes.add_patch(frame)
                axes.text(
                    j,
                    i + 0.32,
                    "leak",
                    ha="center",
                    va="center",
                    fontsize=10,
                    color=ACCENT,
                )
    axes.set_xticks(range(n), [f"key {j + 1}" for j in range(n)])
    axes.set_yticks(range(n), [f"query {i + 1}" for i in range(n)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(read_out.replace("; ", "\n"), fontsize=11, color=INK)
    return figure


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


def influence(
    panels: Sequence[Panel], *, rows: str = "output i", columns: str = "input j"
) -> Figure:
    """Which output moves with which input, a panel beside the other (Chapter 4, "The probe").

    A pair has a shape for what it does: filled where it is allowed and moves, a cross where it is forbidden
    and moves (a leak), a ring where it should move and does not, hatched where it is forbidden and silent.
    """
    n = len(panels[0].moves)
    size = max(2.3, 0.34 * n)
    figure = _figure(0.35 + size * len(panels), size + 1.1)
    seen = []
    for axes, panel in zip(
        np.ravel(figure.subplots(1, len(panels))), panels, strict=True
    ):
        seen += _influence_cells(axes, panel)
        axes.set_title(panel.title, fontsize=11, color=INK)
        axes.set_xlabel(columns, color=INK)
        axes.set_ylabel(rows, color=INK)
    kinds = [kind for kind in _INFLUENCE_KEY if kind in seen]
    figure.legend(
        [_INFLUENCE_KEY[kind] for kind in kinds], kinds, loc="outside lower center",
        ncols=2, frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.3,
    )  # fmt: skip
    return figure


READS, LEAK = "reads", "reads, and must not"
LOST, HIDDEN = "should read, and does not", "must not read"
_MARK = {"ls": "", "ms": 9, "mew": 2}
_INFLUENCE_KEY = {
    READS: Rectangle((0, 0), 1, 1, fc="#1b4f8a"),
    LEAK: Line2D([], [], marker="X", color=ACCENT, mec="white", ls="", ms=10),
    LOST: Line2D([], [], marker="o", mfc="none", color=ACCENT, **_MARK),
    HIDDEN: Rectangle((0, 0), 1, 1, fc="white", ec=FAINT, hatch=FORBIDDEN, lw=0.8),
}


def _influence_cells(axes: Axes, panel: Panel) -> set[str]:
    """Draw the cells of one panel; the kinds of cells that were drawn."""
    n_q, n_k = panel.moves.shape
    seen = set()
    for i in range(n_q):
        for j in range(n_k):
            kind = _influence_kind(panel, i, j)
            seen.add(kind)
            weight = np.nan if panel.weights is None else panel.weights[i, j]
            shade = "#1b4f8a" if np.isnan(weight) else CELLS(0.35 + 0.65 * weight)
            style = {"fc": "white", "ec": FAINT}
            if kind == HIDDEN:
                style |= {"hatch": FORBIDDEN}
            elif kind == READS:
                style = {"fc": shade, "ec": "white"}
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, lw=0.8, **style))
            if kind == LEAK:
                axes.plot(j, i, marker="X", color=ACCENT, mec="white", ms=12)
            if kind == LOST:
                axes.plot(j, i, marker="o", mfc="none", color=ACCENT, **_MARK)
    if panel.weights is not None:
        for i in np.flatnonzero(np.isnan(panel.weights).all(axis=1)):
            frame = {"boxstyle": "round", "fc": "white", "ec": ACCENT, "lw": 1.5}
            axes.text(
                n_k / 2 - 0.5, i, "NaN", ha="center", va="center", fontsize=10, color=INK,
                bbox=frame,
            )  # fmt: skip
    axes.set(xlim=(-0.5, n_k - 0.5), ylim=(n_q - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(n_k), range(n_k), fontsize=9)
    axes.set_yticks(range(n_q), range(n_q), fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return seen


def _influence_kind(panel: Panel, i: int, j: int) -> str:
    if panel.moves[i, j] and not panel.allowed[i, j]:
        return LEAK
    if panel.lost is not None and panel.lost[i, j]:
        return LOST
    if panel.moves[i, j]:
        return READS
    return "" if panel.allowed[i, j] else HIDDEN
