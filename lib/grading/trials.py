"""An exercise on trial: its checks asked about answers that nobody typed, such as the known mistakes."""

import ast
import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat

from lib.grading.answers import Answers
from lib.grading.checks import CheckFunction, judge
from lib.grading.feedback import Result
from lib.grading.known import Mistake
from lib.grading.solutions import answers_in, checks_in, tabled
from lib.grading.student import Student, asked_by
from lib.grading.tables import ZOO, Row


class Trial:
    """The exercise `name`, such as ``01_weighted_values``, of the course in the folder `root`."""

    def __init__(self, name: str, root: Path):
        self.name, self.number = name, name[:2]
        self.solution = nbformat.read(root / f"solutions/{name}.ipynb", as_version=4)
        self.references = importlib.import_module(
            f"lib.grading.references.exercise_{self.number}"
        )
        self.answers = answers_in(self.solution)
        self.names = self._defined_in_the_solution()
        self.mistakes = [
            *(known for known in self.names.values() if isinstance(known, Mistake)),
            *(
                Mistake(row.answer, row.name, row.explanation, function, row.bug)
                for row, function in self._tabled("mistakes")
                if row.name != ZOO
            ),
        ]
        self.right = list(self._tabled("right"))
        self._met: dict[Mistake, Result] = {}

    def _defined_in_the_solution(self) -> dict[str, object]:
        """What the solution's cells define when run as a notebook's, not as part of lib; their prints are left out."""
        namespace: dict[str, object] = {"__name__": "a notebook"}
        left_out = {cell.id for cell, _ in checks_in(self.solution)}
        with contextlib.redirect_stdout(io.StringIO()):
            for cell in self.solution.cells:
                if cell.cell_type == "code" and cell.id not in left_out | {"bootstrap"}:
                    exec(cell.source, namespace)
        return namespace

    def _tabled(self, tag: str) -> Iterator[tuple[Row, Callable]]:
        """The rows of the tables with this tag, each with its function."""
        for _, rows in tabled(self.solution, tag):
            for row in rows:
                source = row.function(self.answers[row.answer].inputs())
                yield row, eval(source, self.names)

    @property
    def question_of(self) -> dict[str, str]:
        """The question to which each answer belongs."""
        return {name: answer.question for name, answer in self.answers.items()}

    def judged(
        self,
        question: str,
        *,
        hidden: bool = False,
        lib_counts: bool | None = None,
        **answers: object,
    ) -> Result:
        """The result of a question's check, with the solution's answers where none are given; shows nothing.

        `lib_counts`, when given, stands in for what the question says about calls of `lib`.
        """
        ours = {} if lib_counts is None else {"lib_counts": lib_counts}

        def unseen(question: str, **settings) -> Callable[[CheckFunction], Result]:
            return lambda function: judge(function, question, **settings | ours)

        return self._run_check(question, hidden, {"check": unseen, **answers})

    def asked(self, answer: str) -> list[tuple]:
        """The arguments of every comparison that the visible check makes of an answer."""
        names = self.names

        def listed(question: str, **_) -> Callable[[CheckFunction], list[tuple]]:
            student = Student(Answers(names), self.references)
            return lambda function: asked_by(function, student, answer)

        return self._run_check(self.question_of[answer], False, {"check": listed})

    def _run_check(self, question: str, hidden: bool, names: dict) -> object:
        """What the decorated function of a check cell is bound to, with these names in place of the solution's."""
        cell = next(
            cell
            for cell, found in checks_in(self.solution)
            if (found.question, found.hidden) == (question, hidden)
        )
        namespace = {**self.names, **names}
        exec(cell.source, namespace)
        return namespace[ast.parse(cell.source).body[-1].name]

    def met_by(self, known: Mistake) -> Result:
        """What somebody meets who makes this mistake: the result of the visible check, which is asked only once."""
        if known not in self._met:
            answer = {known.answer: self.given(known)}
            self._met[known] = self.judged(self.question_of[known.answer], **answer)
        return self._met[known]

    def given(self, known: Mistake) -> object:
        """What somebody who makes this mistake has under the answer's name: a function, or a number of their own."""
        if callable(self.names[known.answer]):
            return known.function
        return known.function(str(self.names.get("student_id", "")))
