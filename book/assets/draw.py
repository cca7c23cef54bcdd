"""Draw the course's pictures of itself: ``python book/assets/draw.py`` writes them beside this file.

`logo.svg`, the book's logo and favicon, is the causal mask of five tokens; `social.png` is what other sites show of the
book; `causal_weights.png` stands in README.md.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lib.examples import SENTENCE, W_K, W_Q, X
from lib.figures import Picture, matrix, show
from lib.figures.cells import paint_cells, shades
from lib.figures.picture import ACCENT, DEEP, DPI, FAINT, INK
from lib.masks import causal
from lib.numpy_attention import attention_weights

FOLDER = Path(__file__).parent
CELL, GAP, MARGIN = 10, 1, 5  # of the logo, in units of its 64 × 64 square
TOKENS = 5
SOCIAL = 1200, 630  # pixels, as other sites expect them


def causal_weights() -> Picture:
    """Who reads whom in the course's sentence, under the causal mask."""
    weights = attention_weights(X @ W_Q, X @ W_K, causal)
    allowed = causal.dense(len(SENTENCE))
    figure = matrix(weights, rows=SENTENCE, columns=SENTENCE, allowed=allowed)
    return show(
        figure,
        alt="A table of attention weights for the sentence 'the bank of the river was very "
        "muddy': each word reads itself and the words before it; everything above the "
        "diagonal is hatched, because it is the future.",
    )


def logo() -> str:
    """The causal mask as SVG: filled where a token may read, an outline where it may not."""
    allowed = causal.dense(TOKENS)
    paths = {"past": "", "own": "", "future": ""}
    for i, j in np.ndindex(allowed.shape):
        kind = "own" if i == j else "past" if allowed[i, j] else "future"
        x, y = (MARGIN + k * (CELL + GAP) for k in (j, i))
        paths[kind] += f"M{x} {y}h{CELL}v{CELL}h-{CELL}z"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" '
        'aria-label="A causal mask: a grid filled on and below the diagonal">\n'
        "  <!-- Written by book/assets/draw.py -->\n"
        '  <rect width="64" height="64" rx="9" fill="#ffffff"/>\n'
        f'  <path fill="none" stroke="{FAINT}" d="{paths["future"]}"/>\n'
        f'  <path fill="{DEEP}" d="{paths["past"]}"/>\n'
        f'  <path fill="{ACCENT}" d="{paths["own"]}"/>\n'
        "</svg>\n"
    )


def social() -> Picture:
    """The book's name beside who reads whom in the course's sentence."""
    weights = attention_weights(X @ W_Q, X @ W_K, causal)
    width, height = (pixels / DPI for pixels in SOCIAL)
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0.55, 0.1, 0.42, 0.8))
    paint_cells(axes, shades(weights), causal.dense(len(SENTENCE)))
    axes.set_axis_off()
    figure.text(
        0.06, 0.58, "Masking\nthe Future", size=5000 / DPI, weight="bold", color=INK
    )
    figure.text(
        0.06, 0.44, "A hands-on course on causal attention", size=1900 / DPI, color=INK
    )
    figure.text(
        0.06, 0.34, "who may read whom?", size=1900 / DPI, style="italic", color=ACCENT
    )
    return show(figure, alt="Masking the Future: a course on causal attention")


if __name__ == "__main__":
    (FOLDER / "causal_weights.png").write_bytes(causal_weights().encode())
    (FOLDER / "social.png").write_bytes(social().encode())
    (FOLDER / "logo.svg").write_text(logo(), encoding="utf-8")
