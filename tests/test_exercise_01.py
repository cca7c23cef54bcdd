"""Exercise 01: right answers in several styles are accepted, each misconception is named, nothing else passes."""

import copy
import doctest
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from lib.examples import S
from lib.grading import build, checks
from lib.grading.references import exercise_01
from lib.masks import causal
from lib.notebooks import execute
from lib.numpy_attention import attention

ROOT = Path(__file__).resolve().parents[1]
NAME = "01_weighted_values.ipynb"
SOLUTION = nbformat.read(ROOT / "solutions" / NAME, as_version=4)
EXERCISE = nbformat.read(ROOT / "exercises" / NAME, as_version=4)

QUESTION_OF = {
    "weighted_sum": "1.1",
    "shares": "1.2",
    "query_weights": "1.3",
    "prefix_means": "1.4",
    "fixed_attention": "1.5",
    "scores_for": "1.6",
}


def defined_in_the_solution():
    """What the solution's cells define when run as a notebook's, not as part of lib."""
    namespace = {"__name__": "a notebook"}
    left_out = {cell.id for cell, _ in build.checks_in(SOLUTION)} | {"bootstrap"}
    for cell in SOLUTION.cells:
        if cell.cell_type == "code" and cell.id not in left_out:
            exec(cell.source, namespace)
    return namespace


NOTEBOOK = defined_in_the_solution()
MISTAKES = [known for known in NOTEBOOK.values() if isinstance(known, checks.Mistake)]


@pytest.fixture(autouse=True)
def no_question_solved(monkeypatch):
    monkeypatch.setattr(checks, "_solved", {})


def judged(question, **answers):
    """The result of the visible check of a question, with the reference in place of what is not given."""
    source = next(
        cell.source
        for cell, found in build.checks_in(EXERCISE)
        if found.question == question
    )
    namespace = {**NOTEBOOK, **answers}
    exec(source, namespace)
    return next(
        value for value in namespace.values() if isinstance(value, checks.Result)
    )


# --- right answers -----------------------------------------------------------------------------------------------


def loop_sum(weights, values):
    total = [0.0] * values.shape[1]
    for weight, value in zip(weights, values, strict=True):
        for c, number in enumerate(value):
            total[c] += weight * number
    return total


def loop_shares(weights, values):
    output = loop_sum(weights, values)
    return [
        [
            w * x / a if a != 0 else float("nan")
            for x, a in zip(value, output, strict=True)
        ]
        for w, value in zip(weights, values, strict=True)
    ]


def shares_with_where(weights, values):
    parts = (weights * values.T).T
    whole = weights @ values
    return np.where(whole == 0, np.nan, parts / np.where(whole == 0, 1, whole))


def shares_with_nan_for_zero(weights, values):
    whole = weights @ values
    whole[whole == 0] = np.nan
    return np.einsum("j,jc->jc", weights, values) / whole


def loop_query_weights(i, q, k):
    scores = [
        sum(a * b for a, b in zip(q[i], k[j], strict=True)) / len(q[i]) ** 0.5
        for j in range(i + 1)
    ]
    exponentials = [np.exp(score - max(scores)) for score in scores]
    return [e / sum(exponentials) for e in exponentials] + [0.0] * (len(k) - i - 1)


def query_weights_with_infinity(i, q, k):
    scores = np.where(np.arange(len(k)) <= i, q[i] @ k.T * q.shape[1] ** -0.5, -np.inf)
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def query_weights_by_logarithms(i, q, k):
    scores = (q @ k.T / np.sqrt(q.shape[-1]))[i]
    scores[i + 1 :] = -np.inf
    return np.exp(scores - np.logaddexp.reduce(scores))


def loop_prefix_means(values):
    return [values[: i + 1].mean(axis=0) for i in range(len(values))]


def prefix_means_by_matrix(values):
    lower = np.tri(len(values))
    return (lower / lower.sum(axis=1, keepdims=True)) @ values


def prefix_means_by_attention(values):
    nothing = np.zeros((len(values), 1))
    return attention(nothing, nothing, values.astype(float), causal)


def loop_attention(q, k, v):
    return np.array([query_weights_with_infinity(i, q, k) @ v for i in range(len(q))])


def suspect_with_two_lines_swapped(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = np.tril(weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ v


def suspect_normalised_again(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.tril(np.exp(scores - scores.max()))
    return np.einsum("ij,jc->ic", weights / weights.sum(axis=1)[:, None], v)


RIGHT = {
    "weighted_sum": [
        loop_sum,
        lambda weights, values: (weights[:, None] * values).sum(axis=0),
        lambda weights, values: np.einsum("j,jc->c", weights, values),
        lambda weights, values: np.average(values, axis=0, weights=weights),
    ],
    "shares": [loop_shares, shares_with_where, shares_with_nan_for_zero],
    "query_weights": [
        loop_query_weights,
        query_weights_with_infinity,
        query_weights_by_logarithms,
    ],
    "prefix_means": [
        loop_prefix_means,
        prefix_means_by_matrix,
        prefix_means_by_attention,
    ],
    "fixed_attention": [
        loop_attention,
        suspect_with_two_lines_swapped,
        suspect_normalised_again,
    ],
    "scores_for": [
        lambda weights: np.log(weights) + 7,
        lambda weights: np.log(weights / weights[0]),
        lambda weights: [float(np.log(w)) if w > 0 else -float("inf") for w in weights],
    ],
}


@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for name, answers in RIGHT.items() for answer in answers],
)
def test_right_answers_in_every_style_get_full_points(name, answer):
    result = judged(QUESTION_OF[name], **{name: answer})
    assert (result.status, result.finding) == ("solved", None)
    assert result.earned == exercise_01.POINTS[QUESTION_OF[name]]


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_other_breaking_inputs_are_accepted(scale):
    rng = np.random.default_rng(5)
    given = [scale * rng.normal(size=(4, 3)) for _ in range(3)]
    assert judged("1.5", breaking_input=given).status == "solved"
    assert (
        judged("1.5", breaking_input=([[0], [0]], [[1], [2]], [[3], [4]])).status
        == "solved"
    )


def test_the_examples_in_the_questions_are_true():
    found = doctest.testmod(exercise_01, extraglobs={"S": S})
    assert (found.failed, found.attempted) == (0, 11)


# --- wrong answers -----------------------------------------------------------------------------------------------


def test_every_question_knows_some_mistakes():
    assert {known.answer for known in MISTAKES} == set(QUESTION_OF)


@pytest.mark.parametrize(
    "known", MISTAKES, ids=lambda known: f"{known.answer}: {known.name}"
)
def test_each_misconception_is_rejected_with_its_own_message(known):
    result = judged(QUESTION_OF[known.answer], **{known.answer: known.function})
    assert (result.status, result.earned) == ("wrong", 0)
    assert (result.misconception, result.finding.why) == (known.name, known.explanation)


def test_no_two_mistakes_of_an_answer_share_a_name():
    pairs = [(known.answer, known.name) for known in MISTAKES]
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("name", QUESTION_OF)
@pytest.mark.parametrize(
    "cheat",
    [
        lambda *arguments, right: np.zeros_like(right),
        lambda *arguments, right: np.ones_like(right),
        lambda *arguments, right: np.full_like(right, np.nan),
        lambda *arguments, right: arguments[0],
        lambda *arguments, right: arguments[-1],
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
        "constant",
        "None",
        "a little off",
    ],
)
def test_functions_that_do_not_answer_are_rejected(name, cheat):
    def answer(*arguments):
        return cheat(
            *arguments, right=np.asarray(NOTEBOOK[name](*arguments), dtype=float)
        )

    result = judged(QUESTION_OF[name], **{name: answer})
    assert (result.status, result.earned) == ("wrong", 0)


def test_remembered_numbers_are_rejected():
    assert (
        judged("1.1", weighted_sum=lambda weights, values: [0.13, 0.33, 0.53]).status
        == "wrong"
    )


@pytest.mark.parametrize("question", ["1.3", "1.5"])
def test_lib_is_refused_where_the_question_says_so(question):
    answers = {
        "query_weights": lambda i, q, k: attention(q, k, np.eye(len(k)), causal)[i],
        "fixed_attention": lambda q, k, v: attention(q, k, v, causal),
    }
    result = judged(question, **answers)
    assert result.status == "wrong"
    assert "calls the course's package `lib`" in result.finding.why


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            (np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))),
            "with one token there is no future",
        ),
        (
            (np.ones((3, 2)), np.ones((3, 2)), np.zeros((3, 2))),
            "both functions give the same",
        ),
        (
            (np.ones((3, 2)), np.ones((2, 2)), np.ones((3, 2))),
            "q and k must have the shape",
        ),
        ((np.ones(3), np.ones(3), np.ones(3)), "q and k must have the shape"),
        (
            (np.ones((0, 2)), np.ones((0, 2)), np.ones((0, 2))),
            "q and k must have the shape",
        ),
        (
            (np.ones((3, 2)), np.ones((3, 2)), np.full((3, 2), np.inf)),
            "ordinary finite numbers",
        ),
        (np.ones((3, 3, 2)), "should be a tuple of 3 arrays"),
        ("q, k, v", "should be a tuple of 3 arrays"),
    ],
)
def test_inputs_that_break_nothing_are_told_why(given, says):
    result = judged("1.5", breaking_input=given)
    assert result.status == "wrong"
    assert says in result.finding.why


# --- the notebooks, really run -----------------------------------------------------------------------------------


def outputs(notebook):
    """The text of every output, in order."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", output
            assert output.get("name") != "stderr", output
            yield (
                output["text"]
                if output.output_type == "stream"
                else output["data"]["text/plain"]
            )


def test_the_solution_scores_full_marks():
    text = "\n".join(outputs(execute(SOLUTION, ROOT / "solutions")))
    assert text.count("✔ Solved") == sum(1 for _ in build.checks_in(SOLUTION))
    assert text.rstrip().endswith("Exercise 01 ████████████████████ 14 of 14 points")


def test_the_exercise_scores_nothing_and_runs_to_its_end():
    text = "\n".join(outputs(execute(EXERCISE, ROOT / "exercises")))
    assert text.count("○ Not solved yet") == len(exercise_01.POINTS)
    assert "the reference answer stands in for prefix_means" in text
    assert text.rstrip().endswith("Exercise 01 ░░░░░░░░░░░░░░░░░░░░ 0 of 14 points")


def test_a_learner_who_errs_in_every_way_still_reaches_the_end():
    learner = copy.deepcopy(EXERCISE)
    wrong = {
        "answer-1-1": "def weighted_sum(weights, values):\n    return values[7]",
        "answer-1-2": "def share(weights, values):\n    return weights",
        "answer-1-3": "def query_weights(i, q, k):\n    raise SystemExit",
        "answer-1-4": "def prefix_means(values):\n    values /= 2\n    return values",
        "answer-1-5": "fixed_attention = 3",
        "answer-1-6": "def scores_for(weights):\n    return 'many'",
    }
    for cell in learner.cells:
        cell.source = wrong.get(cell.id, cell.source)
    text = "\n".join(outputs(execute(learner, ROOT / "exercises")))
    assert text.count("✘ Not right yet") == len(exercise_01.POINTS)
    assert re.search(r"IndexError: .*\n +It happened here: `return values\[7\]`", text)
    assert "Did you rename it to `share`?" in text
