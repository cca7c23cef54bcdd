"""What the tests of all exercises share: the two notebooks, and right answers given in a learner's place."""

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib.grading import trials

ROOT = Path(__file__).resolve().parents[1]


class Trial(trials.Trial):
    """One exercise on trial, with its notebook as the learner gets it.

    `right` holds right answers in several styles: question → name of the answer → functions.
    """

    def __init__(self, name: str, right: dict[str, dict[str, list[Callable]]]):
        super().__init__(name, ROOT)
        self.exercise = nbformat.read(ROOT / f"exercises/{name}.ipynb", as_version=4)
        self.right = right

    @property
    def functions(self) -> list[str]:
        """The functions that a learner has to write."""
        return [name for name in self.question_of if callable(self.names[name])]


def outputs(notebook: NotebookNode) -> Iterator[str]:
    """The text of every output, in order; an error or a warning fails the test."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", output
            assert output.get("name") != "stderr", output
            yield (
                output["text"]
                if output.output_type == "stream"
                else output["data"]["text/plain"]
            )
