"""A notebook as its rules see it: `Page`."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from lib.authoring.repository import Address


@dataclass(frozen=True)
class Page:
    """A notebook; `path` is relative to `root`, the course's folder."""

    root: Path
    path: Path
    notebook: NotebookNode
    address: Address

    @property
    def is_chapter(self) -> bool:
        return self.path.parent.name == "notebooks"

    @property
    def number(self) -> int:
        """The number of the chapter or exercise, which its name starts with."""
        return int(self.path.name[:2])

    @cached_property
    def texts(self) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "markdown"]

    @cached_property
    def codes(self) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @cached_property
    def trees(self) -> list[ast.Module]:
        """The code cells that are Python; `chapter_rules.numbers_are_computed` names those that are not."""
        trees = []
        for cell in self.codes:
            with suppress(SyntaxError):
                trees.append(ast.parse(cell.source))
        return trees

    @property
    def outputs(self) -> Iterator[tuple[NotebookNode, NotebookNode]]:
        """(cell, output) for every output of the notebook."""
        return ((cell, output) for cell in self.codes for output in cell.outputs)
