"""What the tests of all exercises share: the two notebooks, and verdicts on answers given in a learner's place."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib.grading import build, checks
from lib.grading.feedback import Result

ROOT = Path(__file__).resolve().parents[1]


class Trial:
    """One exercise on trial.

    `right` holds right answers in several styles: question → name of the answer → functions.
    """

    def __init__(self, name: str, right: dict[str, dict[str, list[Callable]]]):
        self.number = name[:2]
        self.solution = nbformat.read(ROOT / f"solutions/{name}.ipynb", as_version=4)
        self.exercise = nbformat.read(ROOT / f"exercises/{name}.ipynb", as_version=4)
        self.references = importlib.import_module(
            f"lib.grading.references.exercise_{self.number}"
        )
        self.right = right
        self.names = self._defined_in_the_solution()
        self.mistakes = [
            known for known in self.names.values() if isinstance(known, checks.Mistake)
        ]

    def _defined_in_the_solution(self) -> dict[str, object]:
        """What the solution's cells define when run as a notebook's, not as part of lib."""
        namespace: dict[str, object] = {"__name__": "a notebook"}
        left_out = {cell.id for cell, _ in build.checks_in(self.solution)}
        for cell in self.solution.cells:
            if cell.cell_type == "code" and cell.id not in left_out | {"bootstrap"}:
                exec(cell.source, namespace)
        return namespace

    @property
    def question_of(self) -> dict[str, str]:
        """The question of every function that a learner has to write."""
        return {
            name: question for question, names in self.right.items() for name in names
        }

    def judged(self, question: str, **answers: object) -> Result:
        """The result of the visible check of a question, with the solution in place of what is not given."""
        source = next(
            cell.source
            for cell, found in build.checks_in(self.exercise)
            if found.question == question
        )
        namespace = {**self.names, **answers}
        exec(source, namespace)
        return next(value for value in namespace.values() if isinstance(value, Result))


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
