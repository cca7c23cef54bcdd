"""The playground's rules: read from `lib.masks` when the book is built, so that no rule is written twice.

The page composes masks in the reader's browser (`static/playground*.js`). Its first script, made here, holds what it
takes from `lib`: each kind of mask as a JavaScript function of its arguments, the colours of the course's figures, and
the document's scores. No other page carries these files.
"""

import json
from typing import Any

from matplotlib.colors import to_hex
from sphinx.application import Sphinx

from lib import examples, figures, masks
from lib.figures.picture import DEEP
from lib.readings.javascript import function_of_arguments
from lib.tiles import PARTIAL

PAGE = "book/playground"
# From this weight on a number is white: so each stands out 4.5 to 1 from its shade, black below, white above.
DARK = 0.725
SCRIPTS = (
    "playground_masks.js",
    "playground_states.js",
    "playground_page.js",
    "playground.js",
    "playground_scores.js",
)
# The kinds under the names by which people call them.
KINDS = {"full": masks.Full, "causal": masks.Causal} | {
    kind.__name__: kind
    for kind in (
        masks.window,
        masks.strided,
        masks.every,
        masks.same_block,
        masks.offsets,
        masks.sink,
        masks.prefix,
        masks.coarse,
        masks.And,
        masks.Or,
    )
}


def setup(app: Sphinx) -> None:
    """Add the files to the one page when it is written."""
    app.connect("html-page-context", add_files)


def add_files(app: Sphinx, page: str, *_: Any) -> None:
    """Add the page's style and scripts, the rules first."""
    if page == PAGE:
        app.add_css_file("playground.css")
        app.add_js_file(None, body=first_script(), priority=501)
        for place, script in enumerate(SCRIPTS, start=502):
            app.add_js_file(script, priority=place)


def first_script() -> str:
    """What the other scripts take from `lib`, as the JavaScript object ``PLAYGROUND``."""
    kinds = ", ".join(
        f"{name}: {function_of_arguments(kind)}" for name, kind in KINDS.items()
    )
    partial = figures.TILE_STYLES[PARTIAL][1]["fc"]
    given = {
        "colours": {
            "ink": figures.INK,
            "accent": figures.ACCENT,
            "faint": figures.FAINT,
            "deep": DEEP,
            "partial": partial,
        },
        "shades": [to_hex(figures.CELLS(step / 20)) for step in range(21)],
        "dark": DARK,
        "scores": examples.S.tolist(),
    }
    return f"const PLAYGROUND = {{kinds: {{{kinds}}}, ...{json.dumps(given)}}};"
