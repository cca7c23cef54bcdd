"""MathJax from an installed package, so that formulas need no content network.

Sphinx would load MathJax from jsdelivr.net. The package django-static-mathjax carries the same files; the
combined script and its fonts are copied beside the pages, and nothing else of it.
"""

import importlib.util
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# The script asks for its fonts at this path below its own folder.
FILES = ("tex-chtml.js", "output/chtml/fonts/woff-v2")


def setup(app: Sphinx) -> None:
    """Copy MathJax after every build that wrote pages."""
    app.connect("build-finished", ship)


def ship(app: Sphinx, exception: Exception | None) -> None:
    """Copy the script, its fonts and its licence to `_static/mathjax` of the built book."""
    if exception or app.builder.format != "html":
        return
    source = package_folder()
    target = Path(app.outdir) / "_static" / "mathjax"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "LICENSE", target)
    for name in FILES:
        if (source / "es5" / name).is_dir():
            shutil.copytree(source / "es5" / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy(source / "es5" / name, target / name)


def package_folder() -> Path:
    """Where the installed package keeps MathJax."""
    package = importlib.util.find_spec("mathjax")
    if package is None or package.origin is None:
        raise ExtensionError(
            "MathJax is not installed: run `pip install -r requirements.txt`"
        )
    return Path(package.origin).parent / "static" / "mathjax"
