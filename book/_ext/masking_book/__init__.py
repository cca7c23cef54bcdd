"""What the book adds to Sphinx: statements, alternative texts, sliders, vendored MathJax, a playground, rebuilds.

Each module holds one of these and says in its first lines which trap it ends.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from masking_book import (
    alternative_texts,
    bootstrap,
    fresh,
    mathjax,
    playground,
    predictions,
    rebuild,
    sliders,
    statements,
)

STATIC = Path(__file__).parents[1] / "static"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the parts; Sphinx calls this once a build."""
    for part in (
        alternative_texts,
        bootstrap,
        fresh,
        mathjax,
        playground,
        predictions,
        rebuild,
        sliders,
        statements,
    ):
        part.setup(app)
    app.connect("config-inited", _ship_static_files)
    for sheet in ("course.css", "explore.css", "concept_test.css"):
        app.add_css_file(sheet)
    for script in ("explore.js", "concept_test.js"):
        app.add_js_file(script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _ship_static_files(app: Sphinx, config: Config) -> None:
    config.html_static_path.append(str(STATIC))
