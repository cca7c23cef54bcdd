"""What the tests of all exercises share: every exercise on trial, with its notebook as the learner gets it."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib.grading import trials
from lib.grading.solutions import personal_in

ROOT = Path(__file__).resolve().parents[1]


class Trial(trials.Trial):
    """One exercise on trial, with its notebook as the learner gets it."""

    def __init__(self, name: str):
        super().__init__(name, ROOT)
        self.exercise = nbformat.read(ROOT / f"exercises/{name}.ipynb", as_version=4)

    @property
    def is_capstone(self) -> bool:
        """The exercise about all chapters: three questions of one project, without the usual kinds of question."""
        return self.name == "10_capstone"

    @property
    def functions(self) -> list[str]:
        """The functions of some input that a learner has to write."""
        return [name for name, answer in self.answers.items() if answer.parameters]

    @property
    def personal(self) -> dict[str, str]:
        """The numbers of a learner's own, each with the function of the student_id that gives it."""
        return personal_in(self.solution)

    @property
    def inputs(self) -> list[str]:
        """What is judged by rules: the inputs that a learner has to find, and what their functions of nothing make."""
        own = {*self.functions, *self.personal}
        return [name for name in self.answers if name not in own]


TRIALS = [Trial(path.stem) for path in sorted((ROOT / "solutions").glob("*.ipynb"))]


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
