"""Arrays for the eye: rows of ■ and ⬚ or of numbers as text, and the same as a small HTML table.

A table needs nothing from outside, follows a light or a dark page, and a screen reader reads it cell by cell.
"""

import html
import inspect
from collections.abc import Callable

import numpy as np

SHOWN = 24  # an array with more numbers than this is described, not printed
CELLS = 120  # a table with more cells is not drawn
MAY, MAY_NOT = "■", "⬚"

TABLE = (
    "display:inline-table;width:auto;margin:0.2em 1.6em 0.6em 0;border-collapse:collapse;"
    "vertical-align:top;font-family:monospace"
)
CELL = "border:1px solid #808080;padding:0.1em 0.5em;text-align:right"
FILLED = "background:#3a7bc8;color:#3a7bc8"  # seen on a white and on a dark page
# Small tiles with two stripes each: JupyterLab, which takes repeating gradients out of stored outputs, leaves them in.
HATCHED = (
    "background-image:linear-gradient(135deg,#808080 12%,transparent 12%,transparent 50%,#808080 50%,"
    "#808080 62%,transparent 62%);background-size:8px 8px;color:transparent"
)
# A frame and a sign of its own, so that a difference is not told by colour alone.
DIFFERENT = "outline:3px solid #d1495b;outline-offset:-2px;font-weight:bold"


def mask_text(mask: np.ndarray) -> str:
    """A mask as rows of ■, may attend, and ⬚."""
    return "\n".join("".join(row) for row in np.where(mask, MAY, MAY_NOT))


def array_text(array: np.ndarray) -> str:
    """The array's numbers on one line, or its shape when there are too many to read."""
    array = np.asarray(array)
    if array.size > SHOWN:
        return f"an array of shape {array.shape}"
    text = np.array2string(
        array if array.dtype == bool else array + 0.0,
        separator=",",
        threshold=SHOWN,  # whatever the learner has set
        formatter={"float_kind": number, "bool": str},
    )
    return ", ".join(part.strip() for part in text.split(","))


def number(value: float) -> str:
    """Four significant digits, with the sign of infinity that the formulas use."""
    return "−∞" if value == -np.inf else "∞" if value == np.inf else f"{value:.4g}"


def told_apart(wanted: object, found: object) -> tuple[str, str]:
    """Two numbers, with as many digits as it takes to see that they differ."""
    for digits in (6, 9, 12, 17):
        texts = f"{float(wanted):.{digits}g}", f"{float(found):.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def is_mask(array: np.ndarray) -> bool:
    """A table of booleans, True for may attend."""
    return array.dtype == bool and array.ndim == 2


def drawable(array: np.ndarray) -> bool:
    """A table shows it: a vector or a matrix that is neither empty nor large."""
    return array.ndim in (1, 2) and 0 < array.size <= CELLS


def call_text(name: str, function: Callable, arguments: tuple) -> str:
    """The call as one would write it, with the names of the parameters; what takes several lines stands below it."""
    given = inspect.signature(function).bind(*arguments).arguments
    texts = {parameter: argument(value) for parameter, value in given.items()}
    drawn = {parameter: text for parameter, text in texts.items() if "\n" in text}
    parts = [
        parameter if parameter in drawn else f"{parameter}={text}"
        for parameter, text in texts.items()
    ]
    below = [f"{parameter}:\n{text}" for parameter, text in drawn.items()]
    return "\n".join([f"{name}({', '.join(parts)})", *below])


def argument(value: object) -> str:
    """An argument for the eye: an array as `shown`, of a function its name."""
    if isinstance(value, np.ndarray):
        return shown(value)
    return str(getattr(value, "__name__", value))


def shown(array: np.ndarray) -> str:
    """The array as text: a mask drawn, a matrix that is long for one line in rows, anything else as its numbers."""
    if array.ndim == 2 and drawable(array):
        if is_mask(array):
            return mask_text(array)
        if array.size > SHOWN >= array.shape[1]:
            return "\n".join(map(array_text, array))
    return array_text(array)


def table(caption: str, array: np.ndarray, differs: np.ndarray | None = None) -> str:
    """An HTML table of a drawable array; the cells that `differs` names are framed."""
    rows = np.atleast_2d(array)
    framed = np.zeros(rows.shape, bool) if differs is None else np.atleast_2d(differs)
    draw = _mask_cell if is_mask(array) else _number_cell
    body = "".join(
        f"<tr>{''.join(draw(value, wrong) for value, wrong in zip(row, marks, strict=True))}</tr>"
        for row, marks in zip(rows, framed, strict=True)
    )
    return (
        f'<table style="{TABLE}"><caption style="caption-side:top;text-align:left">{html.escape(caption)}</caption>'
        f"<tbody>{body}</tbody></table>"
    )


def _mask_cell(may: bool, wrong: bool) -> str:
    style = f"{CELL};{FILLED if may else HATCHED}"
    sign = MAY if may else MAY_NOT
    if wrong:
        style += f";color:{'#ffffff' if may else '#d1495b'};{DIFFERENT}"
        sign = "✘"
    return f'<td style="{style}">{sign}</td>'


def _number_cell(value: float, wrong: bool) -> str:
    style = f"{CELL};{DIFFERENT}" if wrong else CELL
    text = str(value) if isinstance(value, np.bool) else number(value)
    return f'<td style="{style}">{text}{" ✘" if wrong else ""}</td>'


def compared(wanted: np.ndarray, found: np.ndarray, same: np.ndarray | None) -> str:
    """Wanted and found side by side; `same` tells which cells agree, or None when the shapes differ."""
    if not (drawable(wanted) and drawable(found)):
        return ""
    differs = None if same is None else ~same
    return table("Wanted", wanted) + table("Found", found, differs)
