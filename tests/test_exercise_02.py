"""Exercise 02: what is particular to its questions. What holds for every exercise is in test_exercises.py."""

import copy

import numpy as np
import pytest
import torch
from answers_02 import TRIAL
from exercise_trial import ROOT, outputs

from lib.authoring.notebooks import execute
from lib.examples import S
from lib.grading import checks
from lib.masks import causal
from lib.numpy_attention import attention


@pytest.fixture(autouse=True)
def no_question_solved(monkeypatch):
    monkeypatch.setattr(checks, "_solved", {})


def rejection(question, **answers):
    """The finding about wrong answers."""
    result = TRIAL.judged(question, **answers)
    assert (result.status, result.earned) == ("wrong", 0)
    return result.finding


# --- the numbers of the documents --------------------------------------------------------------------------------


def test_the_references_give_the_corrected_numbers_of_the_worked_example():
    weights = TRIAL.references.masked_weights(S)
    assert weights[1, :2].round(4).tolist() == [0.4013, 0.5987]
    assert weights[2].round(4).tolist() == [0.2292, 0.3093, 0.4615]
    assert TRIAL.references.leak(S).round(3).tolist() == [0.424, 0.153, 0.0]


def test_remembered_numbers_are_rejected():
    right = TRIAL.references.masked_weights(S)
    leaks = TRIAL.references.leak(S)
    assert rejection("2.2", masked_weights=lambda scores: right)
    assert rejection("2.3", leak=lambda scores: leaks)


# --- what counts as an answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("2.1", {"causal_mask": lambda n: causal.dense(n)}),
        ("2.4", {"chunk_mask": lambda n_q, n_k: causal.dense(n_q, n_k)}),
        ("2.6", {"fixed_attention": lambda q, k, v, _: attention(q, k, v, causal)}),
    ],
)
def test_lib_is_refused_where_the_question_says_so(question, answers):
    assert "calls the course's package `lib`" in rejection(question, **answers).why


@pytest.mark.parametrize(
    ("question", "name", "wrong", "says"),
    [
        ("2.1", "causal_mask", int, "type is int64; it should be bool"),
        ("2.4", "chunk_mask", float, "type is float64; it should be bool"),
        ("2.5", "to_additive", np.float16, "type is float16; it should be float32"),
    ],
)
def test_right_numbers_of_another_type_are_told_so(question, name, wrong, says):
    reference = TRIAL.names[name]
    finding = rejection(
        question, **{name: lambda *arguments: reference(*arguments).astype(wrong)}
    )
    assert says in finding.why


def test_a_wrong_mask_is_named_whatever_its_type():
    finding = rejection("2.5", to_additive=lambda blocked: blocked * -np.inf)
    assert finding.misconception == "multiplied by infinity"
    finding = rejection("2.1", causal_mask=lambda n: np.triu(np.ones((n, n))))
    assert finding.misconception == "turned around"


def only_for(sizes, right, otherwise):
    """An answer that is right for the shapes it has seen, and wrong for all others."""

    def answer(*arguments):
        seen = tuple(getattr(a, "shape", a) for a in arguments) in sizes
        return (right if seen else otherwise)(*arguments)

    return answer


def test_a_chunk_mask_that_knows_only_a_few_sizes_fails_in_the_prefill():
    right = TRIAL.names["chunk_mask"]
    sizes = {(3, 5), (1, 4), (2, 2), (4, 9)}
    finding = rejection(
        "2.4",
        chunk_mask=only_for(
            sizes, right, lambda n_q, n_k: np.ones((n_q, n_k), dtype=bool)
        ),
    )
    assert "read in chunks of 3" in finding.why
    finding = rejection(
        "2.4",
        chunk_mask=only_for(
            sizes, right, lambda n_q, n_k: np.tri(n_q, n_k, dtype=bool)
        ),
    )
    assert "read in one query at a time" in finding.why


SMALL_MASKS = {((3, 3),), ((2, 3),)}
INVERTED = {
    "to_sdpa": lambda mask: mask,
    "to_mha": lambda mask: mask,
    "to_additive": lambda mask: np.where(mask, np.float32(0), np.float32(-np.inf)),
}


@pytest.mark.parametrize(
    ("name", "says"), [("to_mha", "There and back"), ("to_additive", "should be log L")]
)
def test_a_conversion_that_knows_only_small_masks_fails_the_laws(name, says):
    answer = only_for(SMALL_MASKS, TRIAL.names[name], INVERTED[name])
    assert says in rejection("2.5", **{name: answer}).why


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("to_sdpa", "F.scaled_dot_product_attention, with your mask"),
        ("to_mha", "nn.MultiheadAttention, with your mask from to_mha"),
        ("to_additive", "nn.MultiheadAttention, with your mask from to_additive"),
    ],
)
def test_the_outputs_of_pytorch_are_compared(name, says):
    asked = SMALL_MASKS | {((4, 7),)}
    answer = only_for(asked, TRIAL.names[name], INVERTED[name])
    assert says in rejection("2.5", **{name: answer}).why


def test_question_2_5_leaves_the_learners_random_numbers_alone():
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    assert TRIAL.judged("2.5").status == "solved"
    assert torch.equal(torch.rand(3), wanted)


def test_a_condition_turned_around_is_not_a_fix():
    suspect = TRIAL.names["suspect_attention"]
    finding = rejection(
        "2.6",
        fixed_attention=lambda q, k, v, training: suspect(q, k, v, not training),
    )
    assert finding.misconception == "mask removed in training"


def test_a_fix_that_remembers_the_breaking_call_alone_is_seen():
    """It is right on every input of `same`, and leaks on the learner's own."""
    call = TRIAL.names["breaking_call"]
    reference, suspect = (
        TRIAL.names["fixed_attention"],
        TRIAL.names["suspect_attention"],
    )

    def answer(q, k, v, training):
        own = q.shape == call[0].shape and not q.any()
        return (suspect if own else reference)(q, k, v, training)

    assert "the past moves" in rejection("2.6", fixed_attention=answer).why


# --- 2.3: a number of one's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("student_id", ["", "Rosa", 20417])
@pytest.mark.parametrize(
    "own",
    [
        lambda score, future: 1 - np.exp(score) / (np.exp(score) + future),
        lambda score, future: round(float(future / (np.exp(score) + future)), 2),
        lambda score, future: (
            torch.tensor([score] + future * [0.0]).softmax(0)[1:].sum()
        ),
    ],
)
def test_the_own_leak_may_be_computed_in_any_way(student_id, own):
    row = TRIAL.names["row_of"](str(student_id))
    answers = {"student_id": student_id, "my_leak": own(*row)}
    assert TRIAL.judged("2.3", **answers).status == "solved"


# --- breaking inputs ---------------------------------------------------------------------------------------------


def test_other_breaking_calls_are_accepted():
    rng = np.random.default_rng(5)
    q, k, v = rng.normal(size=(3, 4, 3))
    assert TRIAL.judged("2.6", breaking_call=(q, k, v, False)).status == "solved"
    lists = [[[0], [0]], [[1], [2]], [[3], [4]], 0]
    assert TRIAL.judged("2.6", breaking_call=lists).status == "solved"


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ((ONES, ONES, ONES, True), "Look at the other mode"),
        ((ONES[:1], ONES[:1], ONES[:1], False), "with one token there is no past"),
        ((ONES[:2], ONES, ONES, False), "q and k must have the shape"),
        ((ONES[0], ONES[0], ONES[0], False), "q and k must have the shape"),
        ((ONES[:0], ONES[:0], ONES[:0], False), "q and k must have the shape"),
        ((ONES, ONES, ONES, [False, True]), "training is True or False"),
        ((ONES, ONES, np.nan * ONES, False), "ordinary finite numbers"),
        ((ONES, [[0, 0], [0, 0], [-9, -9]], ONES, False), "moves too little"),
        ((ONES, ONES, ONES), "should be a tuple of 4 arrays"),
        ("q, k, v, False", "should be a tuple of 4 arrays"),
        (None, "should be a tuple of 4 arrays"),
    ],
)
def test_calls_that_break_nothing_are_told_why(call, says):
    assert says in rejection("2.6", breaking_call=call).why


def text(own_score, future_value, n=8, d_v=1):
    """n tokens: token 0 has the score `own_score` and the value −1, the others have `future_value`."""
    q, k = np.ones((n, 1)), np.full((n, 1), float(own_score))
    v = np.full((n, d_v), float(future_value))
    v[0] = -1
    return q, k, v


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (text(-1, 1), text(-1, -1)),
        (text(-1, -1, n=6), text(-1, 1, n=6)),
        (text(-1, -1, n=8), text(-1, 1, n=7)),
        (text(-0.6, -1, d_v=3), text(-0.6, 1, d_v=3)),
        (
            tuple(part.tolist() for part in text(-1, -1)),
            tuple(part.tolist() for part in text(-1, 1)),
        ),
    ],
)
def test_other_pairs_of_texts_are_accepted(before, after):
    result = TRIAL.judged("2.7", before=before, after=after)
    assert (result.status, result.earned) == ("solved", 3)


def with_part(given, position, value):
    return tuple(value if n == position else part for n, part in enumerate(given))


BEFORE, AFTER = text(-1, -1), text(-1, 1)
FUTURE_KEYS = np.vstack([BEFORE[1][:1], np.zeros((7, 1))])


@pytest.mark.parametrize(
    ("before", "after", "misconception", "says"),
    [
        (
            BEFORE,
            with_part(BEFORE, 1, FUTURE_KEYS),
            "the scores of the future do not arrive",
            "Only future values reach it",
        ),
        (
            BEFORE,
            BEFORE,
            "the scores of the future do not arrive",
            "All values are the same",
        ),
        (
            BEFORE,
            with_part(AFTER, 2, np.ones((8, 1))),
            "the past was changed",
            "Token 0 must be the same",
        ),
        (text(0, -1), text(0, 1), "", "moves by twice its leak"),
        (text(-1, -1, n=5), text(-1, 1, n=5), "", "moves by twice its leak"),
        (text(-1, -1, n=9), text(-1, 1, n=9), "", "with 2 ≤ n ≤ 8"),
        (text(-1, -1, n=1), text(-1, 1, n=1), "", "with 2 ≤ n ≤ 8"),
        (text(-5, -1), text(-5, 1), "", "every score q · k / √d_k must lie between"),
        (text(-1, -2), text(-1, 2), "", "every value must lie between"),
        (BEFORE, with_part(AFTER, 2, np.nan * AFTER[2]), "", "every value must lie"),
        (BEFORE, with_part(AFTER, 0, AFTER[0][:4]), "", "after: q and k must have"),
        (BEFORE, AFTER[:2], "", "`after` should be a tuple of 3 arrays"),
        (3, AFTER, "", "`before` should be a tuple of 3 arrays"),
        (None, AFTER, "", "`before` should be a tuple of 3 arrays"),
    ],
)
def test_texts_that_break_the_rules_or_nothing_are_told_why(
    before, after, misconception, says
):
    finding = rejection("2.7", before=before, after=after)
    assert says in finding.why
    assert finding.misconception == misconception


def test_one_missing_text_is_unsolved_and_not_wrong():
    assert TRIAL.judged("2.7", after=...).status == "unsolved"


# --- the notebook, really run ------------------------------------------------------------------------------------


def test_a_learner_who_errs_in_every_way_still_reaches_the_end():
    learner = copy.deepcopy(TRIAL.exercise)
    wrong = {
        "answer-2-1-mask": "def causal_mask(n):\n    return np.tri(n)",
        "answer-2-2": "def masked_weights(scores):\n    scores[:] = 0\n    return scores",
        "answer-2-3": "leak = S",
        "answer-2-4": "def chunk_masks(n_q, n_k):\n    return None",
        "answer-2-5-sdpa": "def to_sdpa(blocked):\n    return 'blocked'",
        "answer-2-6": "def fixed_attention(q, k, v):\n    return v",
        "answer-2-7": "before = after = (np.ones(3), [[1], [1, 2]], None)",
    }
    for cell in learner.cells:
        cell.source = wrong.get(cell.id, cell.source)
    shown = "\n".join(outputs(execute(learner, ROOT / "exercises")))
    assert shown.count("✘ Not right yet") == len(TRIAL.references.POINTS)
    assert "numbers for booleans" in shown
    assert "Did you rename it to `chunk_masks`?" in shown
    assert "rows have different lengths" in shown
