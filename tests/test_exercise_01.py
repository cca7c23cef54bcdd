"""Exercise 01: what is particular to its questions. What holds for every exercise is in test_exercises.py."""

import copy
import re

import numpy as np
import pytest
from answers_01 import TRIAL
from exercise_trial import ROOT, outputs

from lib.authoring.notebooks import execute
from lib.grading import checks
from lib.masks import causal
from lib.numpy_attention import attention


@pytest.fixture(autouse=True)
def no_question_solved(monkeypatch):
    monkeypatch.setattr(checks, "_solved", {})


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_other_breaking_inputs_are_accepted(scale):
    rng = np.random.default_rng(5)
    given = [scale * rng.normal(size=(4, 3)) for _ in range(3)]
    assert TRIAL.judged("1.5", breaking_input=given).status == "solved"
    assert (
        TRIAL.judged("1.5", breaking_input=([[0], [0]], [[1], [2]], [[3], [4]])).status
        == "solved"
    )


def test_remembered_numbers_are_rejected():
    assert (
        TRIAL.judged(
            "1.1", weighted_sum=lambda weights, values: [0.13, 0.33, 0.53]
        ).status
        == "wrong"
    )


@pytest.mark.parametrize("question", ["1.3", "1.5"])
def test_lib_is_refused_where_the_question_says_so(question):
    answers = {
        "query_weights": lambda i, q, k: attention(q, k, np.eye(len(k)), causal)[i],
        "fixed_attention": lambda q, k, v: attention(q, k, v, causal),
    }
    result = TRIAL.judged(question, **answers)
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
    result = TRIAL.judged("1.5", breaking_input=given)
    assert result.status == "wrong"
    assert says in result.finding.why


def test_a_learner_who_errs_in_every_way_still_reaches_the_end():
    learner = copy.deepcopy(TRIAL.exercise)
    wrong = {
        "answer-1-1": "def weighted_sum(weights, values):\n    return values[7]",
        "answer-1-2": "def share(weights, values):\n    return weights",
        "answer-1-3": "def query_weights(i, q, k):\n    raise SystemExit",
        "answer-1-4": "def prefix_means(values):\n    values /= 2\n    return values",
        "answer-1-5": "fixed_attention = 3",
        "answer-1-6": "def scores_for(weights):\n    return 'many'",
        "answer-1-7": "heavy_weights = [0.9, 0.1]\nheavy_values = 'two'",
    }
    for cell in learner.cells:
        cell.source = wrong.get(cell.id, cell.source)
    text = "\n".join(outputs(execute(learner, ROOT / "exercises")))
    assert text.count("✘ Not right yet") == len(TRIAL.references.POINTS)
    assert re.search(r"IndexError: .*\n +It happened here: `return values\[7\]`", text)
    assert "Did you rename it to `share`?" in text


# --- 1.6: a number of one's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("student_id", ["", "Rosa", 20417])
@pytest.mark.parametrize(
    "own",
    [
        lambda w: np.log(w[1]) - np.log(w[0]),
        lambda w: float(-np.log(w[0] / w[1])),
        lambda w: round(np.log(w[1] / w[0]), 2),
        lambda w: np.array(np.diff(np.log(w))).item(),
    ],
)
def test_the_own_difference_may_be_computed_in_any_way(student_id, own):
    weights = TRIAL.names["weights_of"](str(student_id))
    answers = {"student_id": student_id, "my_difference": own(weights)}
    assert TRIAL.judged("1.6", **answers).status == "solved"


# --- 1.7: a heavy key that does not count ------------------------------------------------------------------------


def heavy(weights, values):
    return {"heavy_weights": weights, "heavy_values": values}


@pytest.mark.parametrize(
    ("weights", "values"),
    [
        ([0.9, 0.06, 0.04], [[3], [1], [6]]),
        (np.array([0.03, 0.95, 0.02]), np.array([[1.0, 0], [3, 2], [6, 5]])),
        ([0.9, 0.05, 0.03, 0.02], [[2.1], [1], [3], [3.5]]),
    ],
)
def test_keys_that_do_not_count_are_accepted(weights, values):
    assert TRIAL.judged("1.7", **heavy(weights, values)).status == "solved"


@pytest.mark.parametrize(
    ("weights", "values", "misconception", "says"),
    [
        ([0.9, 0.06, 0.04], [[0], [1], [6]], "a value of zero", "scaled up"),
        ([0.9, 0.06, 0.04], [[3.5], [1], [6]], "plain mean", "plain mean"),
        ([0.9, 0.06, 0.04], [[2], [1], [6]], "", "still counts"),
        ([0.9, 0.06, 0.04], [[1], [1], [1]], "equal values", "Two values are equal"),
        ([0.9, 0.1], [[1], [1]], "two keys", "Take a third key"),
        ([1, 0, 0], [[1], [2], [3]], "a weight of 1", "not read at all"),
        ([0.9, 0.05, 0.05], [[2], [1], [3]], "", "Two weights are equal"),
        ([0.8, 0.14, 0.06], [[1], [2], [3]], "", "too small"),
        ([0.9, 0.2, -0.1], [[1], [2], [3]], "", "not negative and sum to 1"),
        ([0.9, 0.2, 0.1], [[1], [2], [3]], "", "not negative and sum to 1"),
        ([0.9, np.nan, 0.1], [[1], [2], [3]], "", "ordinary finite numbers"),
        ([0.9, 0.06, 0.04], [3, 1, 6], "", "must have the shape"),
        ([0.9, 0.1], [[1], [2], [3]], "", "must have the shape"),
        ([1.0], [[1]], "", "must have the shape"),
        ([0.9, 0.06, 0.04], [[], [], []], "", "must have the shape"),
        ("many", [[1], [2], [3]], "", "is a str"),
    ],
)
def test_a_heavy_key_that_breaks_nothing_is_told_why(
    weights, values, misconception, says
):
    result = TRIAL.judged("1.7", **heavy(weights, values))
    assert result.status == "wrong"
    assert says in result.finding.why
    assert result.misconception == misconception
