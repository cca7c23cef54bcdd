"""Which wrong answer meets which feedback: `python -m lib exercises --table`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib import markdown
from lib.grading.feedback import Result
from lib.grading.known import Mistake
from lib.grading.slips import slips_of
from lib.grading.student import agree
from lib.grading.trials import Trial
from lib.grading.zoo import zoo_mistakes

HEAD = (
    "question",
    "answer",
    "from",
    "wrong answer",
    "feedback",
    "what the learner reads",
)


class Row(NamedTuple):
    """One wrong answer to a question, what it meets, and whether that is as it should be."""

    question: str
    known: Mistake
    source: str
    feedback: str
    why: str
    as_it_should_be: bool

    @property
    def text(self) -> str:
        """The row in Markdown."""
        feedback = self.feedback if self.as_it_should_be else f"**{self.feedback}**"
        answer = f"`{self.known.answer}`"
        parts = (
            self.question,
            answer,
            self.source,
            self.known.name,
            feedback,
            self.why,
        )
        return markdown.row(parts)


def print_table(names: list[str], root: Path) -> int:
    """Print the table of the exercises `names` in Markdown; 1 when a wrong answer is not rejected by its own name."""
    print(markdown.table(HEAD, []))
    faults = 0
    for name in names:
        for row in rows(Trial(name, root)):
            print(row.text)
            faults += not row.as_it_should_be
    print(f"\n{faults} wrong answers are not rejected by their own names.")
    return 1 if faults else 0


def rows(trial: Trial) -> Iterator[Row]:
    """Every known mistake, every bug of the zoo that fits and every slip, as an answer to its question."""
    for answer, question in trial.question_of.items():
        own = [known for known in trial.mistakes if known.answer == answer]
        zoo = list(zoo_mistakes(trial.references, answer))
        for known in own:
            result = trial.met_by(known)
            named = result.misconception == known.name
            if not trial.answers[answer].parameters:  # the rule that is broken is told
                named = named or known.explanation in _why(result)
            feedback = result.misconception or result.status
            yield Row(question, known, "mistake", feedback, _why(result), named)
        right = trial.names[answer]
        slips = slips_of(answer, right) if trial.answers[answer].parameters else []
        for source, known in [
            *(("zoo", bug) for bug in zoo),
            *(("slip", slip) for slip in slips),
        ]:
            # The zoo is a part of lib, but a learner who writes the same bug does not call it.
            result = trial.judged(question, lib_counts=True, **{answer: known.function})
            told = _about(trial, known, result, own + zoo + slips)
            yield Row(question, known, source, *told)


def _why(result: Result) -> str:
    return result.finding.why if result.finding else ""


def _about(
    trial: Trial, bug: Mistake, result: Result, known: list[Mistake]
) -> tuple[str, str, bool]:
    """Feedback, explanation and whether they are as they should be, for a bug of the zoo or a slip.

    It may be harmless in a question, or made for other shapes; and two of them may be one and the same there.
    """
    if result.status == "solved":
        return "right here", "", True
    named = next((m for m in known if m.name == result.misconception), None)
    if named is None:
        asked = trial.asked(bug.answer)
        if not all(_takes(bug, arguments) for arguments in asked):
            return "made for other shapes", "", True
        return result.misconception or "not named", _why(result), False
    if named.name == bug.name or (bug.bug and named.bug == bug.bug):
        return named.name, _why(result), True
    same = all(
        agree(_result(named, arguments), _result(bug, arguments))
        for arguments in trial.asked(bug.answer)
        if _takes(bug, arguments)
    )
    feedback = f"{named.name} (here the same)" if same else named.name
    return feedback, _why(result), same


def _result(known: Mistake, arguments: tuple) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(known.function(*arguments))


def _takes(known: Mistake, arguments: tuple) -> bool:
    """Whether the function can be called like this at all."""
    try:
        _result(known, arguments)
    except ValueError:
        return False
    return True
