"""Moves every slider of a notebook from inside its kernel and lists what is wrong.

`live_run.py` calls `tell(Out)` in one more cell at the end of a notebook.
"""

import base64
import json
import math
import re
from html import unescape
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lib.explore import Explorer
from lib.figures import Picture


def tell(out: dict[int, object]) -> None:
    """Print what `faults` finds, as JSON."""
    print(json.dumps(faults(out)))


def faults(out: dict[int, object]) -> dict[str, list[str]]:
    """The faults of each Explorer among the results of a notebook's cells, by the cell's number."""
    explorers = {
        number: result for number, result in out.items() if isinstance(result, Explorer)
    }
    return {
        str(number): explorer_faults(explorer) for number, explorer in explorers.items()
    }


def explorer_faults(explorer: Explorer) -> list[str]:
    """Each control is moved to both ends and a middle value; the others stay where they started."""
    start = dict(explorer.state)
    found = []
    for name, values in explorer.controls.items():
        shown = {}
        for value in dict.fromkeys([values[0], values[len(values) // 2], values[-1]]):
            try:
                explorer.set(**start | {name: value})
                shown[value] = read_out, pixels = displayed(explorer)
            except Exception as error:  # whatever a callback raises is a fault, reported with its place
                found.append(
                    f"{name} = {value}: raises {type(error).__name__}: {error}"
                )
                continue
            fresh = explorer.draw(**start | {name: value})
            if read_out != fresh.alt:
                found.append(
                    f"{name} = {value}: reads {read_out!r}, but draw says {fresh.alt!r}"
                )
            if not np.array_equal(pixels, decode(fresh.encode())):
                found.append(
                    f"{name} = {value}: the picture is not what draw gives for this state"
                )
            found += [
                f"{name} = {value}: {fault}" for fault in cell_faults(explorer, fresh)
            ]
            if not says(fresh.alt, value):
                found.append(
                    f"{name} = {value}: the alternative text does not name this value: {fresh.alt!r}"
                )
            if draws_nothing(fresh.figure):
                found.append(f"{name} = {value}: the picture is blank")
        if values[0] in shown and values[-1] in shown:
            (first_words, first_pixels), (last_words, last_pixels) = (
                shown[values[0]],
                shown[values[-1]],
            )
            if np.array_equal(first_pixels, last_pixels):
                found.append(
                    f"{name}: the picture is the same at {values[0]} and {values[-1]}"
                )
            if first_words == last_words:
                found.append(
                    f"{name}: the alternative text is the same at {values[0]} and {values[-1]}"
                )
    return found


def cell_faults(explorer: Explorer, fresh: Picture) -> list[str]:
    """Points at the first cell and at the last one; each must be heard to say what `draw` lets it say."""
    if fresh.cells is None:
        return []
    names = (fresh.cells.rows, fresh.cells.columns)
    row, column = (
        next(widget for widget in explorer.widget.children if is_called(widget, name))
        for name in names
    )
    found = []
    for end in (0, -1):
        row.value, column.value = row.options[end][1], column.options[end][1]
        said, expected = spoken(explorer), fresh.cells.says[end, end]
        if said != expected:
            found.append(f"a cell says {said!r}, but draw lets it say {expected!r}")
    return found


def is_called(widget: object, name: str) -> bool:
    return getattr(widget, "description", None) == name


def spoken(explorer: Explorer) -> str:
    """The sentence below the picture: that of the cell that is pointed at."""
    _, _, after = explorer.widget.children[0].value.rpartition("<p>")
    return unescape(after.removesuffix("</p>"))


def says(text: str, value: float | str) -> bool:
    """Whether the text names the value; a number may be rounded."""
    if isinstance(value, str):
        return value in text
    numbers = map(float, re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-")))
    return any(math.isclose(number, value, rel_tol=0.01) for number in numbers)


def displayed(explorer: Explorer) -> tuple[str, np.ndarray]:
    """The alternative text and the pixels that the front end is told to show."""
    parser = _Images()
    parser.feed(explorer.widget.children[0].value)
    if len(parser.images) != 1:
        raise ValueError(
            f"{len(parser.images)} pictures are displayed: {explorer.widget.children[0].value}"
        )
    [image] = parser.images
    return image["alt"], decode(base64.b64decode(image["src"].partition("base64,")[2]))


def decode(picture: bytes) -> np.ndarray:
    """Pixels (height, width, 3) of an encoded picture."""
    return np.asarray(Image.open(BytesIO(picture)).convert("RGB"))


def draws_nothing(figure: Figure) -> bool:
    """Whether the figure has nothing but empty axes."""
    return not any(axes.has_data() or axes.texts or axes.tables for axes in figure.axes)


class _Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.images: list[dict[str, str]] = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
