"""Pictures of weights: arcs over a sentence, a matrix, bars, shares, and the way from tokens to an output."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.figures.cells import name_above, paint_cells, shades, written
from lib.figures.picture import ACCENT, DEEP, FAINT, FORBIDDEN, INK, bare, blank


def attention_arcs(tokens: Sequence[str], weights: np.ndarray, query: int) -> Figure:
    """The sentence, with an arc from one query to each key it reads, as thick as the weight.

    `weights`: (n,), row `query` of the weights (Chapter 1).
    """
    figure = blank(5.4, 2.3)
    axes = bare(figure.add_subplot())
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
    figure = blank(1.2 + 0.48 * n_k, 0.9 + 0.38 * n_q)
    axes = figure.add_subplot()
    may = np.ones(values.shape, dtype=bool) if allowed is None else allowed
    texts = np.where(may, written(values, decimals), "")
    paint_cells(axes, shades(values), may, texts=texts)
    name_above(
        axes,
        rows if rows is not None else range(n_q),
        columns if columns is not None else range(n_k),
    )
    axes.set_title(title, fontsize=11, color=INK)
    return figure


def weight_bars(
    axes: Axes, tokens: Sequence[str], weights: np.ndarray, allowed: np.ndarray
) -> None:
    """One row of weights as bars over the sentence; tokens that may not be read are hatched."""
    n = len(tokens)
    for j in range(n):
        if not allowed[j]:
            axes.axvspan(j - 0.5, j + 0.5, fc="white", ec=FAINT, hatch=FORBIDDEN, lw=0)
    bars = axes.bar(range(n), weights, width=0.7, color=np.where(allowed, DEEP, "none"))
    labels = [
        f"{w:.2f}" if may else "" for w, may in zip(weights, allowed, strict=True)
    ]
    axes.bar_label(bars, labels, fontsize=9, color=INK, padding=1)
    axes.set_xticks(range(n), tokens, rotation=35, fontsize=10)
    axes.set(ylim=(0, 1.12), xlim=(-0.5, n - 0.5))
    axes.set_ylabel("weight", color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def share_bars(weights: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> Figure:
    """Weights beside shares: how much each value is weighed, and how much of each coordinate it makes up.

    `weights`: (n,), `shares`: (n, d_v), each column summing to 1 (Chapter 1, "What a weight does not tell you").
    """
    figure = blank(5.8, 2.9)
    axes = figure.add_subplot()
    columns = np.column_stack([weights, shares])
    ticks = [
        "weights",
        *(f"shares of\ncoordinate {c + 1}" for c in range(shares.shape[1])),
    ]
    bottom = np.zeros(columns.shape[1])
    for row, name, color, hatch in zip(
        columns, names, (DEEP, "#f0c9a6"), ("", "..."), strict=True
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
    figure = blank(5.6, 4.3)
    axes = bare(figure.add_subplot())
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
        color = ACCENT if name == "a" else DEEP
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
