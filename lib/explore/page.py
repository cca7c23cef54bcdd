"""A figure with sliders on the published page: all its pictures, and the HTML that holds the first one.

`book/_ext/static/explore.js` brings the HTML to life. Without it the first picture shows.
"""

import json
import math
from hashlib import sha256
from html import escape
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image

from lib.explore.explorer import Explorer, Value, data_uri, label

# The book's build sets this variable to the folder that collects the pictures of all states.
BOOK_FOLDER = "MASKING_THE_FUTURE_BOOK"

# A page loads every state that it offers, so it may not offer many.
MOST_CONTROLS = 3
MOST_STATES = 120

# Stands below a picture with cells until a reader points at one.
HINT = "Point at a cell, or walk over the cells with the arrow keys."


class PageExplorer(Explorer):
    """In the book: every state is drawn now, and a little script on the page swaps the pictures.

    It draws when it is made, not when it is displayed, because IPython lets a cell succeed whose result
    could not be displayed.
    """

    def __init__(self, *arguments: Any, folder: Path):
        super().__init__(*arguments)
        self._bundle = {"text/plain": self._text, "text/html": page_html(self, folder)}
        self._metadata = {}


def page_html(explorer: Explorer, folder: Path) -> str:
    """Draw every state into the folder and write the figure that swaps them.

    The first picture stands in the HTML itself, so the page needs neither script nor path to show it.
    Raises ValueError for more than 3 controls or 120 states, and whatever drawing a state raises.
    """
    controls = explorer.controls
    count = math.prod(map(len, controls.values()))
    if len(controls) > MOST_CONTROLS or count > MOST_STATES:
        raise ValueError(
            f"explore: a page shows at most {MOST_CONTROLS} controls and {MOST_STATES} states, "
            f"got {len(controls)} controls and {count} states; offer fewer values"
        )
    folder.mkdir(parents=True, exist_ok=True)
    grid = product(*controls.values())  # the last control moves fastest
    states = [dict(zip(controls, values, strict=True)) for values in grid]
    stored = [_store(explorer, state, folder) for state in states]
    table: dict[str, Any] = {
        "labels": [[str(value) for value in values] for values in controls.values()],
        "states": stored,
    }
    first, alt, *_ = stored[states.index(explorer.state)]
    pixels = (folder / first).read_bytes()
    width, height = Image.open(BytesIO(pixels)).size
    sliders = [_slider(name, controls[name], explorer.state[name]) for name in controls]
    hint = ""
    if explorer.cells:
        table["grid"] = f"{explorer.cells.rows}, {explorer.cells.columns}"
        hint = f'<p class="explore-cell" hidden>{HINT}</p>\n'
    caption = (
        explorer.caption and f"<figcaption>{escape(explorer.caption)}</figcaption>"
    )
    return f"""<figure class="explore">
<img src="{data_uri(pixels, "image/webp")}" alt="{escape(alt)}" width="{width}" height="{height}">
{hint}<div class="explore-controls" hidden>{"".join(sliders)}</div>
<p class="explore-read-out" aria-live="polite"></p>
<script type="application/json">{_script(table)}</script>
{caption or ""}</figure>"""


def _store(explorer: Explorer, state: dict[str, Value], folder: Path) -> list:
    """Draw one state into the folder; returns the file's name, the alternative text and, if any, the cells."""
    picture = explorer.picture_at(state)
    pixels = picture.encode("webp")
    name = f"{sha256(pixels).hexdigest()[:16]}.webp"
    (folder / name).write_bytes(pixels)
    cells = picture.cells
    spoken = [{"box": cells.box, "says": cells.says.tolist()}] if cells else []
    return [name, picture.alt, *spoken]


def _slider(name: str, values: tuple[Value, ...], now: Value) -> str:
    # The label wraps its slider, so no id is needed and figures on one page cannot clash. The slider
    # speaks for itself (aria-valuetext), so the printed value is hidden from screen readers.
    return f"""<div class="explore-control">
<label><span>{escape(label(name))}</span>
<input type="range" min="0" max="{len(values) - 1}" step="1" value="{values.index(now)}"
 aria-valuetext="{escape(str(now))}" autocomplete="off"></label>
<output aria-hidden="true">{escape(str(now))}</output></div>"""


def _script(table: dict[str, Any]) -> str:
    """JSON that a "</script>" in some alternative text cannot end."""
    return json.dumps(table).replace("<", r"\u003c")
