"""The page for an address that does not exist: GitHub Pages shows `404.html` in its place, whatever the address.

So its links cannot start from where the reader believes to be. They start from the book's own address, which a
``<base>`` element names; `_config.yml` has it. Opened under its own name, on a disk or elsewhere, the page needs none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx

from lib.authoring.repository import read_address

NAME = "404"
FIRST, WORDS = "notebooks/01_weighted_values", "book/glossary"
BASE = """\
<base href="{root}">
<script>if (location.pathname.endsWith("/404.html")) document.querySelector("base").remove()</script>
"""
BODY = """\
<h1>This page is masked</h1>
<p>The address that you asked for is not in the book. Perhaps a page has moved, or a letter went astray.</p>
<ul>
<li><a href="{start}">Start page</a></li>
<li><a href="{first}">Chapter 1</a></li>
<li><a href="{words}">Glossary</a></li>
<li><a href="search.html">Search</a></li>
</ul>
"""


def setup(app: Sphinx) -> None:
    """Write the page after all others."""
    app.connect("html-collect-pages", page)
    app.connect("html-page-context", begin_at_the_book)


def page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page, in the theme's dress, with links to what there is."""
    there = app.env.found_docs
    wanted = {"start": app.config.root_doc, "first": FIRST, "words": WORDS}
    places = {
        name: app.builder.get_target_uri(
            target if target in there else app.config.root_doc
        )
        for name, target in wanted.items()
    }
    yield NAME, {"title": "Page not found", "body": BODY.format(**places)}, "page.html"


def begin_at_the_book(
    app: Sphinx,
    name: str,
    template: str,
    context: dict,
    document: nodes.document | None,
) -> None:
    """Have every link of the page start from the book's address."""
    if name == NAME:
        root = urlsplit(read_address(Path(app.srcdir)).book).path
        context["metatags"] = BASE.format(root=root) + context.get("metatags", "")
