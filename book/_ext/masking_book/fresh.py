"""A book built afresh says what it was built from, so that the tests may take it as it is.

The tests look at a book that was built from nothing, so that no earlier build can hide a fault. When `make book` has
just built such a one, a second would be the same: a *seal* beside the stored pages (doctrees) says from which files
it was made and what was written. Any difference, in what goes in or in what came out, breaks it.
"""

import json
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path

from sphinx.application import Sphinx

import lib
from masking_book import executed

SEAL = Path("_build", ".doctrees", "fresh.json")
PAGES = Path("_build", "html")


def setup(app: Sphinx) -> None:
    """Seal the book once it is built from nothing, with warnings as errors, out of files that stayed the same."""
    root, pages, seal = app.srcdir, app.outdir, app.doctreedir / SEAL.name
    afresh = not (pages.exists() and any(pages.iterdir()))
    afresh = afresh and not (app.doctreedir / "environment.pickle").exists()
    afresh = afresh and not executed.folder_for_all(app).exists()
    seal.unlink(missing_ok=True)
    before = ingredients(root)

    def put_seal(app: Sphinx, exception: Exception | None) -> None:
        strict = app.warningiserror and app.builder.format == "html"
        if exception is None and afresh and strict and before == ingredients(root):
            text = json.dumps({"from": before, "written": digests(pages)})
            seal.write_text(text, "utf-8")

    # After every other part, and Jupyter Book, has written what it ships.
    app.connect("build-finished", put_seal, priority=900)


def sealed_pages(root: Path) -> Path | None:
    """The pages of the book in `root` if a fresh build of the very same files wrote them just so; None otherwise."""
    try:
        seal = json.loads((root / SEAL).read_text("utf-8"))
    except FileNotFoundError:
        return None
    if seal["from"] != ingredients(root):
        return None
    return root / PAGES if seal["written"] == digests(root / PAGES) else None


def ingredients(root: Path) -> str:
    """A hash of all that a page may depend on: the course's files, `lib` as it is imported, Python and its packages."""
    # A set: whoever runs Python in the course's folder finds the course there a second time.
    packages = sorted({f"{found.name}=={found.version}" for found in distributions()})
    imported = Path(lib.__file__).parent
    parts = [sys.version, packages, digests(root), digests(imported)]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """The hash of every file in the folder, but for those that are hidden, compiled or the book's own."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in _files(folder)
    }


def _files(folder: Path) -> Iterator[Path]:
    left_out = (PAGES.parts[0], "__pycache__")
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f not in left_out and f[0] != "."]
        yield from (Path(place, name) for name in names if name[0] != ".")
