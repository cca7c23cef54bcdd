"""One submission graded: its cells run in a worker, every check asked, the points counted here."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lib.grading import checks
from lib.grading.answers import Unsolved, Wrong
from lib.grading.course import Asked, Course
from lib.grading.feedback import Part, Result
from lib.grading.hosted import Notebook, legible
from lib.grading.links import BOOK
from lib.grading.personal import written_one_way
from lib.grading.remote import RemoteAnswers, RemoteStudent
from lib.grading.sandbox import Sandbox
from lib.grading.submissions import (
    Submission,
    Unusable,
    cells_of,
    content,
    language_of,
)

# Bytes that the checks of a submission may take beside what is there.
FOR_CHECKS = 2 * 2**30
TOO_LONG = "With your numbers the check itself takes too long. Take smaller ones."
HIDDEN = "A hidden check, which asks the same with other inputs, does not agree: {lost} earns no points."
# How many times the limit for a cell a whole notebook, and a question, may take.
NOTEBOOK, QUESTION = 15, 2


def graded(
    submission: Submission, course: Course, sandbox: Sandbox, seconds: float
) -> dict:
    """The record of a submission, as JSON has it: its points, what the learner reads, what was remarked."""
    record = nothing_of(submission, course)
    remarks, cells = record["remarks"], []
    try:
        data = content(submission.path) if submission.path else b""
        cells = cells_of(data) if submission.path else []
        if (language := language_of(data)) not in ("", "python"):
            remarks.append(
                f"The notebook says that it is in {legible(language)}; it was run as Python."
            )
    except Unusable as error:
        remarks.append(f"{legible(submission.path.name)}: {error}")
    if not cells:
        return record
    notebook = Notebook(
        cells,
        list(vars(course.exercise)),
        sandbox,
        seconds=seconds,
        in_all=NOTEBOOK * seconds,
    )
    try:
        record["student_id"] = _student_id(
            notebook, seconds
        )  # before a hidden check is asked
        record["questions"] |= _judged(course, notebook, seconds)
    finally:
        notebook.close()
    remarks += [
        f"Code cell {n + 1} {note}" for n, note in sorted(notebook.notes.items())
    ]
    return record


def nothing_of(submission: Submission, course: Course) -> dict:
    """The record of a submission that answers nothing."""
    return {
        "learner": legible(submission.learner),
        "name": submission.file_name,
        "file": legible(submission.path.name) if submission.path else "",
        "student_id": "",
        "remarks": list(map(legible, submission.remarks)),
        "questions": {
            question: {
                "earned": 0,
                "points": points,
                "status": "unsolved",
                "parts": {},
                "misconceptions": [],
                "html": "",
            }
            for question, points in course.exercise.POINTS.items()
        },
    }


def _judged(course: Course, notebook: Notebook, seconds: float) -> dict[str, dict]:
    """What is recorded of each question, after all its checks."""
    checks.forget()
    shown: dict[str, Result] = {}
    hidden: dict[str, list[Result]] = {}
    for asked in course.checks:
        result = _asked(asked, notebook, seconds)
        if asked.hidden:
            hidden.setdefault(asked.question, []).append(result)
        else:
            shown[asked.question] = result
    total = sum(course.exercise.POINTS.values())
    so_far = sum(sum(checks.earned(question).values()) for question in shown)
    return {
        question: _recorded(
            replace(result, progress=(so_far, total)), hidden.get(question, [])
        )
        for question, result in shown.items()
    }


def _asked(asked: Asked, notebook: Notebook, seconds: float) -> Result:
    notebook.begin_check(QUESTION * seconds)
    with _bounded(notebook, QUESTION * seconds):
        return checks.judge(
            asked.function,
            asked.question,
            **asked.settings,
            answers=RemoteAnswers(notebook),
            student=RemoteStudent,
        )


@contextmanager
def _bounded(notebook: Notebook, seconds: float) -> Iterator[None]:
    """What a learner's numbers make the check do takes no longer than this, a part after that one second more."""

    def stop(*_):
        if not notebook.busy:  # the worker has limits of its own
            raise Wrong(TOO_LONG)

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_own_memory() -> None:
    """From now on this process, which runs the checks, takes no more than `FOR_CHECKS` in addition."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + FOR_CHECKS
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _student_id(notebook: Notebook, seconds: float) -> str:
    """The id with which the learner's own numbers were chosen."""
    try:
        notebook.begin_check(seconds)
        return written_one_way(RemoteAnswers(notebook).text("student_id", default=""))
    except (Unsolved, Wrong):
        return ""


def _recorded(result: Result, hidden: list[Result]) -> dict:
    """What is recorded of a question."""
    failed = [check for check in hidden if check.status != "solved"]
    named = [check.misconception for check in (result, *failed) if check.misconception]
    if result.section:
        result = replace(
            result, section=(result.section[0], BOOK + _page(result.section[1]))
        )
    result = _after_hidden(result, failed)
    return {
        "earned": result.earned,
        "points": result.points,
        "status": result.status,
        "parts": {
            part.name: part.points if part.status == "solved" else 0
            for part in result.parts
        },
        "misconceptions": list(dict.fromkeys(named)),
        "html": result._repr_html_(),
    }


def _after_hidden(result: Result, failed: list[Result]) -> Result:
    """The result that the learner reads: what a hidden check took away is said, and nothing of the check itself.

    A misconception that it has recognised is named: it tells how the answer is wrong, not what was asked.
    """
    left = checks.earned(result.question)
    if sum(left.values()) == result.earned:
        return result
    parts = tuple(_lost(part, left) for part in result.parts)
    lost = [
        f"`{old.name}`"
        for old, new in zip(result.parts, parts, strict=True)
        if old != new
    ]
    told = [HIDDEN.format(lost=" and ".join(lost) or "the question")]
    told += [
        f"It looks like this: {check.misconception}."
        for check in failed
        if check.misconception
    ]
    remark = "\n".join(filter(None, [result.remark, *dict.fromkeys(told)]))
    return replace(
        result, status="wrong", earned=sum(left.values()), parts=parts, remark=remark
    )


def _lost(part: Part, left: dict[str, int]) -> Part:
    if part.status == "solved" and part.name not in left:
        return replace(part, status="wrong")
    return part


def _page(address: str) -> str:
    """The page of the book for an address as a notebook has it: ../notebooks/NN.ipynb#section."""
    return address.removeprefix("../").replace(".ipynb", ".html")
