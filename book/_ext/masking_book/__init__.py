"""What the book adds to Sphinx: statements, formulas, light pictures and icons, sliders, a playground, honest rebuilds.

Each module holds one of these and says in its first lines which trap it ends.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from masking_book import (
    accessible,
    alternative_texts,
    bootstrap,
    executed,
    folding,
    formulas,
    fresh,
    icons,
    launch,
    not_found,
    pictures,
    playground,
    portuguese,
    predictions,
    rebuild,
    sliders,
    social,
    statements,
    status,
    typography,
)

STATIC = Path(__file__).parents[1] / "static"
TEMPLATES = STATIC.with_name("templates")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the parts; Sphinx calls this once a build."""
    for part in (
        accessible,
        alternative_texts,
        bootstrap,
        executed,
        folding,
        formulas,
        fresh,
        icons,
        launch,
        not_found,
        pictures,
        playground,
        portuguese,
        predictions,
        rebuild,
        sliders,
        social,
        statements,
        status,
        typography,
    ):
        part.setup(app)
    app.connect("config-inited", _name_folders)
    for sheet in ("course.css", "explore.css", "concept_test.css"):
        app.add_css_file(sheet)
    app.add_css_file("print.css", media="print")
    for script in ("explore.js", "concept_test.js"):
        app.add_js_file(script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _name_folders(app: Sphinx, config: Config) -> None:
    config.html_static_path.append(str(STATIC))
    config.templates_path.append(str(TEMPLATES))
