"""A dozen icons of our own in the place of Font Awesome, whose script and fonts weighed more than the rest of a page.

The theme's templates name icons by Font Awesome's classes; `icons.css` draws those that occur. What the theme
brings of Font Awesome is taken out of the built book: script, fonts, and the rules of its style sheet.
"""

import re
import shutil
from pathlib import Path

import tinycss2
from sphinx.application import Sphinx

STYLES = "styles/pydata-sphinx-theme.css"
LEFT_OUT = ("vendor/fontawesome", "scripts/fontawesome.js")
# Selectors, animations and variables that begin like this are Font Awesome's.
THEIRS = re.compile(r"\.fa([bsrl]|-[a-z0-9-]+)?\b")


def setup(app: Sphinx) -> None:
    """Take Font Awesome out after the theme has copied its files."""
    app.add_css_file("icons.css")
    app.connect("build-finished", take_out)


def take_out(app: Sphinx, exception: Exception | None) -> None:
    """Remove what no page asks for."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for name in LEFT_OUT:
        if (static / name).is_dir():
            shutil.rmtree(static / name)
        else:
            (static / name).unlink(missing_ok=True)
    for source_map in static.rglob("*.map"):
        source_map.unlink()
    for notice in static.rglob("fontawesome.js.*"):
        notice.unlink()
    sheet = static / STYLES
    sheet.write_text(without_font_awesome(sheet.read_text("utf-8")), "utf-8")


def without_font_awesome(css: str) -> str:
    """The style sheet without the rules that only Font Awesome's icons need."""
    rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    return "".join(rule.serialize() for rule in rules if not _theirs(rule))


def _theirs(rule: tinycss2.ast.Node) -> bool:
    start = tinycss2.serialize(rule.prelude)
    if rule.type == "qualified-rule":
        return all(THEIRS.search(selector) for selector in start.split(","))
    if rule.at_keyword == "font-face":
        return "Font Awesome" in tinycss2.serialize(rule.content)
    return rule.at_keyword == "keyframes" and start.strip().startswith("fa-")
