"""The status page: what was run for this book, when, how long it took and with which versions.

The directive ``course-status`` becomes a table. What it says is known only when every page has been read, so it is
filled in as its own page is written; and that page is written again whenever a notebook has been run.
"""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGES = ("numpy", "torch", "matplotlib", "ipywidgets", "jupyter-book", "myst-nb")
HEAD = ("page", "last run (UTC)", "seconds")


class Status(nodes.General, nodes.Element):
    """Stands where the table will be."""


class CourseStatus(Directive):
    """``course-status``: the table of what was run."""

    def run(self) -> list[nodes.Node]:
        """Leave a place for the table."""
        return [Status()]


def setup(app: Sphinx) -> None:
    """Add the directive, and fill its place before links are resolved."""
    app.add_node(Status)
    app.add_directive("course-status", CourseStatus)
    app.connect("doctree-read", remember)
    app.connect("env-updated", write_again)
    app.connect("doctree-resolved", fill)


def remember(app: Sphinx, document: nodes.document) -> None:
    """Note which page has the table."""
    if any(document.findall(Status)):
        app.env.metadata[app.env.docname]["course_status"] = "here"


def write_again(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages with the table, so that each build writes them."""
    return [name for name, data in env.metadata.items() if "course_status" in data]


def fill(app: Sphinx, document: nodes.document, page: str) -> None:
    """Put versions and table in their place."""
    for place in list(document.findall(Status)):
        runs = executions(app.env)
        built = datetime.now(UTC)
        place.replace_self([
            nodes.paragraph("", f"Built on {built:%Y-%m-%d} at {built:%H:%M} UTC, with {versions()}."),
            _table(app, page, runs),
        ])  # fmt: skip


def versions() -> str:
    """Python and the packages that results depend on, with their versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def executions(env: BuildEnvironment) -> dict[str, dict[str, Any] | None]:
    """For each page with code, in the book's order, what MyST-NB knows of its run; None if it was not run."""
    known = getattr(env, "nb_metadata", {})
    order = [env.config.root_doc, *_below(env, env.config.root_doc)]
    runs = {name: known.get(name, {}).get("exec_data") for name in order}
    return {
        name: run
        for name, run in runs.items()
        if run is not None or env.doc2path(name).endswith(".ipynb")
    }


def _below(env: BuildEnvironment, page: str) -> list[str]:
    """All pages under one, in the order of the contents."""
    children = env.toctree_includes.get(page, [])
    return [name for child in children for name in (child, *_below(env, child))]


def _table(
    app: Sphinx, page: str, runs: dict[str, dict[str, Any] | None]
) -> nodes.table:
    widths = (60, 25, 15)
    group = nodes.tgroup("", cols=len(HEAD))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row(*map(nodes.Text, HEAD)))
    body = nodes.tbody()
    for name, run in runs.items():
        address = app.builder.get_relative_uri(page, name)
        title = app.env.titles[name].astext()
        link = nodes.reference("", title, refuri=address, internal=True)
        if run is None:
            body += _row(link, nodes.Text("shown as stored"), nodes.Text("–"))
        else:
            when = datetime.fromtimestamp(run["mtime"], UTC)
            seconds = "–" if run["runtime"] is None else f"{run['runtime']:.1f}"
            body += _row(
                link, nodes.Text(f"{when:%Y-%m-%d %H:%M}"), nodes.Text(seconds)
            )
    group += body
    return nodes.table("", group, classes=["course-status"])


def _row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", c)) for c in cells))
