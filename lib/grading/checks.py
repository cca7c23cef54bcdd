"""Checks that run in the notebook: points at once, what was wanted, what was found, and why.

A check is an ordinary cell of an exercise notebook::

    @check("1.1", points=2, section="3 The output", hint=["Look at the sum.", "Which axis does it run over?"])
    def weighted_sums(student):
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
from lib.grading.feedback import Finding, Result
from lib.grading.known import exercise_of
from lib.grading.links import chapter_address
from lib.grading.student import Student

CheckFunction = Callable[[Student], None]

# Which questions are solved in this kernel and by whose answers, and the last result of every question asked.
_solved: dict[str, Answers] = {}
_latest: dict[str, Result] = {}


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
    hint: str | list[str] = (),
    lib_counts: bool = True,
    hidden: bool = False,
) -> Result:
    """The verdict of a check function on the answers in its notebook; keeps the points.

    `section` is a heading of the chapter, `hint` one hint or several that unfold one after another. With
    `lib_counts=False` an answer that calls `lib` is not accepted. A hidden check has no points of its own: when
    it fails, the points of its question are lost.
    """
    try:
        exercise = exercise_of(question)
    except LookupError as error:
        title = f"Exercise {question.split('.')[0]:0>2}"
        return Result(question, "broken", 0, title, (0, 0), Finding(str(error)))
    answers = Answers(function.__globals__, course=vars(exercise))
    function = _with_trusted_names(function, exercise)
    student = Student(answers, exercise, lib_counts=lib_counts, check=function)
    status, finding = verdict(function, student)
    if status != "solved":
        _solved.pop(question, None)
    elif not hidden:
        _solved[question] = answers
    hints = (hint,) if isinstance(hint, str) else tuple(hint)
    result = Result(
        question=f"{question} (hidden)" if hidden else question,
        status=status,
        points=points,
        title=f"Exercise {exercise.CHAPTER[:2]}",
        progress=progress(exercise),
        finding=finding,
        hints=() if status == "solved" else hints,
        section=_where(exercise.CHAPTER, section) if section else None,
        remark=answers.overheard.remark(),
    )
    if status != "solved" or not hidden:
        _latest[question] = result
    return result


def _where(chapter: str, section: str) -> tuple[str, str]:
    """Title and address of the section to read again."""
    title = f"chapter {chapter[:2]}, section {section}"
    return title, chapter_address(chapter, section)


def _with_trusted_names(function: Callable, exercise: ModuleType) -> Callable:
    """The function of a check or of a cell that shows something, with the course's meaning of the names it uses.

    A learner may have bound `np`, `softmax` or `sum` to something else; the check must not stumble over that.
    """
    names = {**function.__globals__, **vars(builtins), **vars(exercise)}
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
        return "wrong", wrong.finding
    except Exception as error:
        return "broken", Finding(
            f"Please report this: {traceback.format_exception_only(error)[-1].strip()}"
        )
    return "solved", None


def _still_open(unsolved: Unsolved, student: Student) -> Finding | None:
    """Which of several answers is still the stub, once another one is there."""
    if not student.used - {unsolved.name}:
        return None
    return Finding(f"`{unsolved.name}` is still open: this question asks for it too.")


def progress(exercise: ModuleType) -> tuple[int, int]:
    """Points so far in this kernel, and points in all."""
    so_far = sum(
        points for question, points in exercise.POINTS.items() if question in _solved
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


def results() -> dict[str, str]:
    """The status of every question asked in this kernel, by the last run of its check."""
    return {question: result.status for question, result in _latest.items()}


def rely_on(question: str, name: str) -> object:
    """The learner's answer `name`, as it was when `question` was solved; until then the reference, and it says so."""
    if question in _solved:
        return _solved[question].used[name]
    print(
        f"Question {question} is not solved yet, so the reference answer stands in for {name}."
    )
    return getattr(exercise_of(question), name)
