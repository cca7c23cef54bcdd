"""Every exercise: right answers in several styles are accepted, each misconception is named, nothing else passes."""

import doctest
import inspect
import re

import answers_01
import answers_02
import numpy as np
import pytest
from exercise_trial import ROOT, outputs

from lib.authoring.notebooks import execute
from lib.examples import S
from lib.grading import checks, solutions

TRIALS = [answers_01.TRIAL, answers_02.TRIAL]
each_exercise = pytest.mark.parametrize(
    "trial", TRIALS, ids=lambda trial: f"exercise {trial.number}"
)


@pytest.fixture(autouse=True)
def no_question_solved(monkeypatch):
    monkeypatch.setattr(checks, "_solved", {})


# --- right answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trial", "question", "name", "answer"),
    [
        pytest.param(trial, question, name, answer, id=f"{name}: {answer.__name__}")
        for trial in TRIALS
        for question, names in trial.right.items()
        for name, answers in names.items()
        for answer in answers
    ],
)
def test_right_answers_in_every_style_get_full_points(trial, question, name, answer):
    result = trial.judged(question, **{name: answer})
    assert (result.status, result.finding) == ("solved", None)
    assert result.earned == trial.references.POINTS[question]


@each_exercise
def test_every_answer_has_three_styles(trial):
    there = [name for names in trial.right.values() for name in names]
    assert sorted(there) == sorted(trial.functions)
    for names in trial.right.values():
        for name, answers in names.items():
            assert len(answers) >= 3, name


@each_exercise
def test_the_examples_in_the_questions_are_true(trial):
    found = doctest.testmod(trial.references, extraglobs={"S": S})
    examples = inspect.getsource(trial.references).count(" >>> ")
    assert (found.failed, found.attempted) == (0, examples)
    assert examples >= len(trial.functions)


# --- wrong answers -----------------------------------------------------------------------------------------------


@each_exercise
def test_every_answer_knows_some_mistakes(trial):
    own_inputs = {"breaking_input", "breaking_call", "before", "after"}
    own_inputs |= {"heavy_weights", "heavy_values"}
    named = {known.answer for known in trial.mistakes}
    assert named == set(trial.question_of) - own_inputs


@pytest.mark.parametrize(
    ("trial", "known"),
    [
        pytest.param(trial, known, id=f"{known.answer}: {known.name}")
        for trial in TRIALS
        for known in trial.mistakes
    ],
)
def test_each_misconception_is_rejected_with_its_own_message(trial, known):
    result = trial.judged(
        trial.question_of[known.answer], **{known.answer: trial.given(known)}
    )
    assert (result.status, result.earned) == ("wrong", 0)
    assert (result.misconception, result.finding.why) == (known.name, known.explanation)


@each_exercise
def test_no_two_mistakes_of_an_answer_share_a_name_or_a_message(trial):
    for part in ("name", "explanation"):
        pairs = [(known.answer, getattr(known, part)) for known in trial.mistakes]
        assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize(
    ("trial", "name"),
    [
        pytest.param(trial, name, id=f"{trial.number}: {name}")
        for trial in TRIALS
        for name in trial.functions
    ],
)
@pytest.mark.parametrize(
    "cheat",
    [
        lambda *arguments, right: np.zeros_like(right),
        lambda *arguments, right: np.ones_like(right),
        lambda *arguments, right: np.full(right.shape, np.nan),
        lambda *arguments, right: arguments[0],
        lambda *arguments, right: arguments[-1],
        lambda *arguments, right: (
            np.eye(*right.shape[-2:], dtype=right.dtype)
            if right.ndim > 1
            else np.arange(right.size)
        ),
        lambda *arguments, right: 0.5,
        lambda *arguments, right: None,
        lambda *arguments, right: (
            right + 1e-3 * np.arange(1, right.size + 1).reshape(right.shape)
        ),
    ],
    ids=[
        "zeros",
        "ones",
        "nan",
        "first argument",
        "last argument",
        "identity",
        "constant",
        "None",
        "a little off",
    ],
)
def test_functions_that_do_not_answer_are_rejected(trial, name, cheat):
    def answer(*arguments):
        return cheat(*arguments, right=np.asarray(trial.names[name](*arguments)))

    result = trial.judged(trial.question_of[name], **{name: answer})
    assert (result.status, result.earned) == ("wrong", 0)


def fingerprint(arguments):
    return repr([np.asarray(argument).tolist() for argument in arguments])


@pytest.mark.parametrize(
    ("trial", "question"),
    [
        pytest.param(trial, found.question, id=found.question)
        for trial in TRIALS
        for _, found in solutions.checks_in(trial.solution)
        if found.hidden
    ],
)
def test_answers_learnt_by_heart_fail_the_hidden_check(trial, question):
    """They know every input of the visible check, whose source the learner has, and are wrong on all others."""
    seen = set()

    def recording(right):
        def answer(*arguments):
            seen.add(fingerprint(arguments))
            return right(*arguments)

        return answer

    def by_heart(right):
        def answer(*arguments):
            result = np.asarray(right(*arguments))
            if fingerprint(arguments) in seen:
                return result
            return ~result if result.dtype == bool else 2 * result + 1

        return answer

    names = [name for name in trial.functions if trial.question_of[name] == question]
    for answers in (recording, by_heart):
        given = {name: answers(trial.names[name]) for name in names}
        assert trial.judged(question, **given).status == "solved"
    for name in names:
        only = {name: by_heart(trial.names[name])}
        assert trial.judged(question, hidden=True, **only).status == "wrong"


@each_exercise
def test_the_exercise_has_the_three_kinds_of_question(trial):
    titles = " / ".join(trial.references.TITLES.values())
    for kind in ("From memory", "Find the bug", "Break "):
        assert kind in titles
    headings = "\n".join(cell.source for cell in trial.exercise.cells)
    assert re.search(r"^## [\d.]+ ★ From memory", headings, re.MULTILINE)


@each_exercise
def test_every_question_has_an_example_with_its_picture(trial):
    shown = [
        cell.id.removeprefix("example-")
        for cell in trial.exercise.cells
        if cell.id.startswith("example-")
        and cell.cell_type == "code"
        and "<table" in cell.outputs[0]["data"]["text/html"]
    ]
    questions = {"-".join(id.split("-")[:2]).replace("-", ".") for id in shown}
    assert questions == set(trial.references.POINTS)


@each_exercise
def test_a_student_id_changes_the_numbers_and_the_answers(trial):
    """The notebook, the check and the reference see the same numbers of one's own."""
    [number] = set(trial.question_of) & {"my_difference", "my_leak"}
    question = trial.question_of[number]
    own_answer = {"my_difference": "own_difference", "my_leak": "own_leak"}[number]
    mine = {**trial.names, "student_id": "ana"}
    prefixes = ("own-", f"answer-{question.replace('.', '-')}-own")
    for cell in trial.solution.cells:
        if cell.id.startswith(prefixes) and not cell.id.endswith("-shown"):
            exec(cell.source, mine)
    assert mine[number] != trial.names[number]
    assert np.isclose(mine[number], trial.names[own_answer]("ana"))
    own = {"student_id": "ana", number: mine[number]}
    assert trial.judged(question, **own).status == "solved"
    assert trial.judged(question, **{number: mine[number]}).status == "wrong"
    assert trial.judged(question, student_id="ana").status == "wrong"


# --- the notebooks, really run -----------------------------------------------------------------------------------


@each_exercise
def test_the_solution_scores_full_marks(trial):
    text = "\n".join(outputs(execute(trial.solution, ROOT / "solutions")))
    total = sum(trial.references.POINTS.values())
    assert text.count("✔ Solved") == sum(1 for _ in solutions.checks_in(trial.solution))
    assert f"Exercise {trial.number} {'█' * 20} {total} of {total} points" in text


@each_exercise
def test_the_exercise_scores_nothing_and_runs_to_its_end(trial):
    text = "\n".join(outputs(execute(trial.exercise, ROOT / "exercises")))
    points = trial.references.POINTS
    assert text.count("○ Not solved yet") == len(points)
    bars = text.count(
        f"Exercise {trial.number} {'░' * 20} 0 of {sum(points.values())} points"
    )
    assert bars == len(points) + 1, "one for each question, and one on the map"
    needed = [
        reliance
        for cell in trial.exercise.cells
        for reliance in re.findall(r'rely_on\("([\d.]+)", "(\w+)"\)', cell.source)
    ]
    assert needed
    for question, name in needed:
        assert (
            f"{question} is not solved yet, so the reference answer stands in for {name}."
            in text
        )
