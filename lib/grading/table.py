"""Which wrong answer meets which feedback: `python -m lib exercises --table`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lib.grading.feedback import Result
from lib.grading.known import Mistake
from lib.grading.trials import Trial


class Row(NamedTuple):
    """One wrong answer to a question, and the verdict on it. A bug of the zoo may answer some questions rightly."""

    question: str
    known: Mistake
    of_the_zoo: bool
    result: Result

    @property
    def as_it_should_be(self) -> bool:
        """Rejected, and named as what it is; or a bug that this question does not show."""
        if self.of_the_zoo:
            return self.result.status == "solved" or (
                self.result.status == "wrong"
                and self.result.finding.bug == self.known.bug
            )
        return (
            self.result.status == "wrong"
            and self.result.misconception == self.known.name
        )

    @property
    def text(self) -> str:
        """The row in Markdown."""
        if self.result.status == "solved":
            verdict, why = "right here" if self.of_the_zoo else "ACCEPTED", ""
        else:
            verdict = self.result.misconception or "not named"
            why = self.result.finding.why
        if not self.as_it_should_be:
            verdict = f"**{verdict}**"
        kind = "bug zoo" if self.of_the_zoo else "mistake"
        cells = (
            self.question,
            f"`{self.known.answer}`",
            kind,
            self.known.name,
            verdict,
            why,
        )
        return f"| {' | '.join(cells)} |".replace("\n", " ")


HEADER = "| question | answer | kind | wrong answer | rejected as | what the learner reads |\n|---|---|---|---|---|---|"


def print_table(names: list[str], root: Path) -> int:
    """Print the table of the exercises `names` in Markdown; 1 when a wrong answer is not rejected by its own name."""
    print(HEADER)
    faults = 0
    for name in names:
        for row in rows(Trial(name, root)):
            print(row.text)
            faults += not row.as_it_should_be
    print(f"\n{faults} wrong answers are not rejected by their own names.")
    return 1 if faults else 0


def rows(trial: Trial) -> Iterator[Row]:
    """Every known mistake as an answer to its question."""
    for answer, question in trial.question_of.items():
        own = [known for known in trial.mistakes if known.answer == answer]
        for known in own:
            result = trial.judged(question, **{answer: trial.given(known)})
            yield Row(question, known, False, result)
