"""Checks that run in the notebook: points at once, what was wanted, what was found, and why.

A check is an ordinary cell of an exercise notebook::

    @check("1.1", points=2, section="3 The output", hint=["A question?", "An idea.", "`a piece of code`"])
    def weighted_sums(student):
        student.same("weighted_sum", np.array([0.3, 0.7]), values)

Where a question asks for several answers, each is a part with points of its own::

    with student.part("weighted_sum", points=1):
        student.same("weighted_sum", np.array([0.3, 0.7]), values)

It judges the learner's answers as soon as the cell runs, and never raises because of them. It compares with the
reference answers and the known mistakes that `python -m lib exercises` generates into `lib.grading.references`,
so it needs neither the notebook's file name nor a network. CONTRIBUTING.md says how to add one.
"""

import builtins
import traceback
from collections.abc import Callable
from types import FunctionType, ModuleType

import numpy as np
from IPython.display import display

from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.containment import course_settings, with_settings
from lib.grading.exercises import exercise_of
from lib.grading.feedback import NO_MEMORY, Finding, Mark, Part, Result
from lib.grading.links import chapter_address
from lib.grading.student import Student

CheckFunction = Callable[[Student], None]

# Of this kernel, for each question: the answers that earned points, and the points of each part ("" is the whole
# question); the last result; how many tries were not right, by question and the part whose hints are told.
_answers: dict[str, Answers] = {}
_earned: dict[str, dict[str, int]] = {}
_latest: dict[str, Result] = {}
_tries: dict[tuple[str, str], int] = {}


def forget() -> None:
    """Begin anew, as a kernel does."""
    for known in (_answers, _earned, _latest, _tries):
        known.clear()


def check(question: str, **settings) -> Callable[[CheckFunction], Result]:
    """Decorator: judge the learner's answer to `question` now and show the verdict; `settings` are those of `judge`.

    The decorated name is bound to the `Result`.
    """

    def judge_and_show(function: CheckFunction) -> Result:
        result = judge(function, question, **settings)
        display(result)
        return result

    return judge_and_show


def judge(
    function: CheckFunction,
    question: str,
    *,
    points: int = 0,
    section: str = "",
    chapter: str = "",
    hint: str | list[str] = (),
    lib_counts: bool = True,
    hidden: bool = False,
    answers: Answers | None = None,
    student: type[Student] = Student,
) -> Result:
    """The verdict of a check function on the answers in its notebook, or on `answers`; keeps the points.

    `section` is a heading of the chapter of the same number, or of `chapter`, such as "05_autoregressive_models".
    `hint` holds the hints, which unfold one after another. With `lib_counts=False` an answer that calls `lib` earns no
    points. A hidden check has no points of its own: when it fails, the points of its question, or of the part that
    fails, are lost.
    """
    try:
        exercise = exercise_of(question)
    except LookupError as error:
        title = f"Exercise {question.split('.')[0]:0>2}"
        return Result(question, "broken", 0, title, (0, 0), Finding(str(error)))
    answers = answers or Answers(function.__globals__, course=vars(exercise))
    function = _with_trusted_names(function, exercise)
    asked = student(answers, exercise, lib_counts=lib_counts, check=function)
    status, finding = verdict(function, asked)
    hinted, hints = _hints(status, hint, asked.parts)
    tried = question, hinted
    if hidden:
        _take_away(question, status, asked.parts)
    else:
        _answers[question] = answers
        _earned[question] = _points_of(status, points, asked.parts)
        _tries[tried] = _tries.get(tried, 0) + (status == "wrong")
    result = Result(
        question=f"{question} (hidden)" if hidden else question,
        status=status,
        points=points,
        title=f"Exercise {exercise.CHAPTER[:2]}",
        progress=progress(exercise),
        finding=finding,
        hints=hints,
        section=_where(chapter or exercise.CHAPTER, section) if section else None,
        earned=0 if hidden else sum(_earned[question].values()),
        parts=tuple(asked.parts),
        shown=_tries.get(tried, 0),
        remark=answers.overheard.remark(),
    )
    if status != "solved" or not hidden:
        _latest[question] = result
    return result


def _hints(
    status: str, hint: str | list[str], parts: list[Part]
) -> tuple[str, tuple[str, ...]]:
    """The part of which the finding tells and its hints; "" and the question's, where it has none of its own."""
    if status == "solved":
        return "", ()
    part = next((part for part in parts if part.status == status), None)
    if part and part.hints:
        return part.name, part.hints
    return "", (hint,) if isinstance(hint, str) else tuple(hint)


def _points_of(status: str, points: int, parts: list[Part]) -> dict[str, int]:
    """The points that are earned, by part."""
    if not parts:
        return {"": points} if status == "solved" else {}
    return {part.name: part.points for part in parts if part.status == "solved"}


def _take_away(question: str, status: str, parts: list[Part]) -> None:
    """A hidden check: the points of what fails are lost."""
    earned = _earned.get(question, {})
    if parts:
        for part in parts:
            if part.status != "solved":
                earned.pop(part.name, None)
    elif status != "solved":
        earned.clear()


def _where(chapter: str, section: str) -> tuple[str, str]:
    """Title and address of the section to read again."""
    title = f"chapter {chapter[:2]}, section {section}"
    return title, chapter_address(chapter, section)


def _with_trusted_names(function: Callable, exercise: ModuleType) -> Callable:
    """The function of a check or of a cell that shows something, with the course's meaning of the names it uses.

    A learner may have bound `np`, `softmax` or `sum` to something else; the check must not stumble over that.
    """
    own = {"rely_on": rely_on}  # the word of this module that a showing cell uses
    names = function.__globals__ | vars(builtins) | own | vars(exercise)
    return FunctionType(function.__code__, names, function.__name__)


def verdict(function: CheckFunction, student: Student) -> tuple[str, Finding | None]:
    """Status and finding of a check function; an interrupt passes through unless it meets the learner's code."""
    try:
        # Whatever the learner has set:
        with np.errstate(all="ignore"), with_settings(course_settings()):
            function(student)
    except Unsolved as unsolved:
        return "unsolved", _still_open(unsolved, student)
    except Wrong as wrong:
        student.parts.clear()  # what holds for the whole question does not hold
        return "wrong", wrong.finding
    except ModuleNotFoundError as error:
        student.parts.clear()
        return "unsolved", Finding(
            f"This question needs `{error.name}`, which this Python does not have. Leave it out here, or open the "
            "notebook where it is installed, such as on Colab."
        )
    except MemoryError:
        student.parts.clear()
        return "wrong", Finding(NO_MEMORY)
    except Exception as error:
        student.parts.clear()
        return "broken", Finding(
            f"Please report this: {traceback.format_exception_only(error)[-1].strip()}"
        )
    return _of_parts(student.parts)


def _of_parts(parts: list[Part]) -> tuple[str, Finding | None]:
    """The verdict on a question from those on its parts: wrong if one is, and the finding is that of the first."""
    for status in ("wrong", "unsolved"):
        for part in parts:
            if part.status == status:
                return status, part.finding
    return "solved", None


def _still_open(unsolved: Unsolved, student: Student) -> Finding | None:
    """Which of several answers is still the stub, once another one is there."""
    if not student.used - {unsolved.name}:
        return None
    return Finding(f"`{unsolved.name}` is still open: this question asks for it too.")


def progress(exercise: ModuleType) -> tuple[int, int]:
    """Points so far in this kernel, and points in all."""
    so_far = sum(
        sum(_earned.get(question, {}).values()) for question in exercise.POINTS
    )
    return so_far, sum(exercise.POINTS.values())


def show(question: str) -> Callable[[Callable[[], None]], None]:
    """Decorator: run the function now, with the course's meaning of the names it uses.

    A cell that shows something, such as that an answer agrees with `attention`, is written as such a function: a
    learner may have written a `softmax`, `attention` or `S` of their own. `question` tells which exercise it is.
    """

    def shown(function: Callable[[], None]) -> None:
        with with_settings(course_settings()):
            _with_trusted_names(function, exercise_of(question))()

    return shown


def earned(question: str) -> dict[str, int]:
    """The points of each part of a question that is right in this kernel; "" is the whole question."""
    return dict(_earned.get(question, {}))


def results() -> dict[str, Mark]:
    """Status and points of every question asked in this kernel, by the last run of its check."""
    return {
        question: Mark(result.status, sum(_earned.get(question, {}).values()))
        for question, result in _latest.items()
    }


def rely_on(question: str, name: str, part: str = "") -> object:
    """The learner's answer `name`, as it was when it earned its points; until then the reference, and it says so.

    Name the `part` of the question that gives these points where it bears another name: two texts that are judged
    together stand in one part, and the learner's one must not meet the reference for the other.
    """
    if _earned.get(question, {}).keys() & {"", part or name}:
        return _answers[question].used[name]
    print(
        f"Question {question} is not solved yet, so the reference answer stands in for {name}."
    )
    return getattr(exercise_of(question), name)
