"""The moving picture of the start page: a mask that comes into force row by row, drawn in the page itself.

It is one SVG element with a style of its own: no script, no file to fetch. It moves once and then stands still; for
readers who have asked for less motion, and on paper, it stands from the beginning. The names of its classes begin with
`mask-`, because a page may have a style for `row` or `cell`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

CELL, LEFT, TOP = (
    32,
    66,
    58,
)  # pixels: a cell's side, and the room for words beside and above the cells
SECONDS = 0.9  # for each row
STYLE = """\
.moving-mask {{ display: block; width: min(100%, {width}px); height: auto; margin: 1rem auto; color: inherit; }}
.moving-mask text {{ fill: currentColor; font: 13px sans-serif; }}
.moving-mask .mask-cell {{ fill: none; stroke: currentColor; stroke-opacity: .3; }}
.moving-mask .mask-weight {{ fill: #2f7fd1; }}
.moving-mask .mask-query {{ fill: none; stroke: #d9762b; stroke-width: 3; transform: translateY({last}px); }}
@media screen and (prefers-reduced-motion: no-preference) {{
  .moving-mask .mask-row {{ animation: masked {seconds}s ease-out calc(var(--row) * {seconds}s + 1s) backwards; }}
  .moving-mask .mask-query {{ animation: asks {all}s steps({n}, jump-none) 1s backwards; }}
  @keyframes masked {{ from {{ opacity: 0; }} }}
  @keyframes asks {{ from {{ transform: none; }} }}
}}"""


@dataclass(frozen=True)
class MovingPicture:
    """An SVG element for a page; as text, the sentence that says what to see in it."""

    svg: str
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        return self.svg


def moving_mask(
    tokens: Sequence[str], weights: np.ndarray, allowed: np.ndarray, *, alt: str
) -> MovingPicture:
    """Row by row: the bluer a key, the more the query reads of it; hatched is what it may not read.

    `weights` and `allowed` are (n, n), rows are queries; `alt` says what to see.
    """
    n = len(tokens)
    width, height = LEFT + n * CELL + 30, TOP + n * CELL + 4
    style = STYLE.format(
        width=1.4 * width, last=(n - 1) * CELL, seconds=SECONDS, all=n * SECONDS, n=n
    )
    parts = [
        f'<svg class="moving-mask" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">',
        f"<style>{style}</style>",
        '<defs><pattern id="forbidden" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path d="M0 0V6" stroke="currentColor" stroke-opacity=".55"/></pattern></defs>',
    ]
    for i, token in enumerate(tokens):
        middle = i * CELL + CELL // 2 + 4
        parts.append(
            f'<text x="{LEFT - 8}" y="{TOP + middle}" text-anchor="end">{escape(token)}</text>'
        )
        parts.append(
            f'<text transform="translate({LEFT + middle} {TOP - 8}) rotate(-45)">{escape(token)}</text>'
        )
    for i in range(n):
        cells = "".join(_cell(i, j, weights[i, j], allowed[i, j]) for j in range(n))
        parts.append(f'<g class="mask-row" style="--row:{i}">{cells}</g>')
    parts.append(_square("cell", 0, 0, n * CELL, n * CELL))
    parts.append(_square("query", 0, 0, n * CELL, CELL))
    return MovingPicture("\n".join([*parts, "</svg>"]), alt)


def _cell(i: int, j: int, weight: float, allowed: bool) -> str:
    """A pair: its weight as depth of colour, or hatched."""
    x, y = j * CELL, i * CELL
    outline = _square("cell", x, y, CELL, CELL)
    if not allowed:
        return outline + _square("future", x, y, CELL, CELL, ' fill="url(#forbidden)"')
    return (
        _square("weight", x, y, CELL, CELL, f' fill-opacity="{weight:.2f}"') + outline
    )


def _square(kind: str, x: int, y: int, width: int, height: int, more: str = "") -> str:
    place = f'x="{LEFT + x}" y="{TOP + y}" width="{width}" height="{height}"'
    return f'<rect class="mask-{kind}" {place}{more}/>'
