"""A picture that moves: from scores over the mask to the weights, in three steps, and what each cell says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.figures.cells import name_above, paint_cells, shades, written
from lib.figures.picture import ACCENT, FAINT, INK, Picture, blank, show

STEPS = ("scores", "mask", "weights")


@dataclass(frozen=True, eq=False)
class Steps:
    """How scores become weights under a mask, for pictures of one step each (Chapter 2, "Minus infinity").

    `scores`, `weights`: numbers (n_q, n_k), and `allowed`: booleans of the same shape; `tokens`: a word for
    each key, of which the queries are the last n_q. `d_k`: the number of features of a key, if the scores are
    q · k / √d_k; without it nothing is said about q · k.

    Raises ValueError for shapes that do not agree, and for weights on forbidden pairs (`leak_matrix` draws
    those).
    """

    scores: np.ndarray
    allowed: np.ndarray
    weights: np.ndarray
    tokens: Sequence[str]
    d_k: int | None = None

    def __post_init__(self) -> None:
        n_q, n_k = self.scores.shape
        for name in ("allowed", "weights"):
            shape = getattr(self, name).shape
            if shape != (n_q, n_k):
                raise ValueError(
                    f"{name}: expected the shape of the scores, {(n_q, n_k)}, got {shape}"
                )
        if len(self.tokens) != n_k:
            raise ValueError(
                f"tokens: expected a word for each of the {n_k} keys, got {len(self.tokens)}"
            )
        if n_q > n_k:
            raise ValueError(
                f"scores: expected at most as many queries as keys, got {n_q} queries and {n_k} keys"
            )
        if self.weights[~self.allowed].any():
            raise ValueError(
                "weights: expected 0 wherever `allowed` is False, got other numbers there; "
                "leak_matrix draws weights that leak"
            )

    def picture(self, step: str = "scores") -> Picture:
        """The picture of one of STEPS, as ``explore(steps.picture, step=STEPS)`` draws it."""
        if step not in STEPS:
            raise ValueError(f"step: expected one of {STEPS}, got {step!r}")
        return show(self.figure(step), alt=self.alt(step), cells=self.says(step))

    def figure(self, *shown: str) -> Figure:
        """The matrices of the named steps side by side; without a name, of all three."""
        shown = shown or STEPS
        n_q, n_k = self.scores.shape
        figure = blank(len(shown) * (0.95 + 0.43 * n_k), 1.3 + 0.36 * n_q)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, step in zip(panels, shown, strict=True):
            self._paint(axes, step)
            if len(shown) == 1:
                _name_all_steps(axes, step)
            else:
                axes.set_title(step, fontsize=11, color=INK)
        return figure

    def _paint(self, axes: Axes, step: str) -> None:
        n_q, n_k = self.scores.shape
        allowed = self.allowed if step != "scores" else np.ones_like(self.allowed)
        numbers = self.weights if step == "weights" else self.scores
        hidden = "0" if step == "weights" else "−∞"
        texts = np.where(allowed, written(numbers, 2), hidden)
        paint_cells(axes, shades(numbers), allowed, texts=texts)
        name_above(axes, self.tokens[n_k - n_q :], self.tokens)

    def alt(self, step: str) -> str:
        """What to see in the picture of one step, in a sentence or two."""
        if step == "scores":
            low, high = self.scores.min(), self.scores.max()
            what = (
                f"a number for every query and every key, from {low:.2f} to {high:.2f}. "
                f"Nothing is forbidden yet."
            )
        elif step == "mask":
            what = (
                f"{np.sum(~self.allowed)} of {self.allowed.size} pairs are hatched: they are forbidden, and "
                f"their scores become −∞. The others keep theirs."
            )
        else:
            last = self.weights[-1]
            most = f"{self.tokens[last.argmax()]} most: {last.max():.2f}"
            what = (
                f"the softmax of each row, 0 where a pair is hatched. The last query, {self.tokens[-1]}, "
                f"reads {most if last.any() else 'nothing'}."
            )
        return f"Step {step}: {what}"

    def says(self, step: str) -> list[list[str]]:
        """What each cell of one step says, (n_q, n_k) sentences; positions count from 1, as in formulas."""
        n_q, n_k = self.scores.shape
        return [[self._sentence(step, i, j) for j in range(n_k)] for i in range(n_q)]

    def _sentence(self, step: str, i: int, j: int) -> str:
        n_q, n_k = self.scores.shape
        position = n_k - n_q + i
        query = f"{self.tokens[position]} (i = {position + 1})"
        key = f"{self.tokens[j]} (j = {j + 1})"
        score, weight = self.scores[i, j], self.weights[i, j]
        product = f"q · k = {score * np.sqrt(self.d_k):.2f}, " if self.d_k else ""
        if step == "scores":
            divided = f"divided by √{self.d_k} this is the " if self.d_k else ""
            return f"{query} asks {key}: {product}{divided}score {score:.2f}."
        if not self.allowed[i, j]:
            end = f"{score:.2f} becomes −∞" if step == "mask" else "−∞, weight 0"
            return f"{query} may not read {key}: {product}score {end}."
        end = " is kept" if step == "mask" else f", weight {weight:.2f}"
        verb = "may read" if step == "mask" else "reads"
        return f"{query} {verb} {key}: {product}score {score:.2f}{end}."


def _name_all_steps(axes: Axes, step: str) -> None:
    """The names of the steps above the matrix, as an arrow from left to right; this one stands out."""
    for name, side in zip(STEPS, ("left", "center", "right"), strict=True):
        now = {"color": ACCENT, "weight": "bold"} if name == step else {"color": FAINT}
        arrow = "" if name == STEPS[-1] else " →"
        axes.set_title(name + arrow, loc=side, fontsize=11, pad=10, **now)
