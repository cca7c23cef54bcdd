"""What the course's pages share in Markdown: the anchor of a heading, and tables."""

from collections.abc import Iterable


def slug(heading: str) -> str:
    """The anchor that JupyterLab and GitHub give to a heading of a notebook; `_config.yml` has the book make it too."""
    return heading.strip().replace(" ", "-")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown; `rows` hold as many cells as `head`."""
    head = list(head)
    return "\n".join([row(head), "|---" * len(head) + "|", *map(row, rows)])


def row(cells: Iterable[str]) -> str:
    """One line of a table. A cell keeps its bars; its line breaks become spaces."""
    kept = (" ".join(cell.splitlines()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(kept)} |"
