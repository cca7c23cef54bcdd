"""Checks that judge rightly: exactness, names that are true, messages that help, calls that are contained."""

import builtins
import sys
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from lib.grading import awkward, checks, pictures
from lib.grading.answers import Answers
from lib.grading.checks import check, show, verdict
from lib.grading.comparing import agree, difference
from lib.grading.known import answered_by_attention, mistake
from lib.grading.student import Student
from lib.grading.zoo import zoo_mistakes
from lib.numpy_attention import softmax

INPUT = builtins.input
SCORES = np.array([[0.3, 0.1, 0.9], [0.8, 1.2, 0.4], [0.5, 0.8, 1.2]])


def causal_weights(scores):
    return softmax(np.where(np.tri(len(scores), dtype=bool), scores, -np.inf))


@pytest.fixture
def exercise(monkeypatch):
    """An exercise that asks for causal weights."""
    module = ModuleType("lib.grading.references.exercise_90")
    module.CHAPTER, module.POINTS = "90_weights", {"90.1": 2}
    module.np, module.softmax, module.S = np, softmax, SCORES
    module.weights_from = lambda scores: causal_weights(scores)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def judged(exercise, answer, *inputs, name="weights_from", **how):
    """Status and finding when the check asks for these inputs, one after another."""

    def question(student):
        for given in inputs or (SCORES,):
            student.same(name, given, **how)

    names = {name: answer}
    student = Student(Answers(names), exercise, check=question)
    return verdict(question, student)


def told(exercise, answer, *inputs, **how):
    status, finding = judged(exercise, answer, *inputs, **how)
    assert status == "wrong"
    return finding


# --- exactness: what is promised exactly is checked exactly ------------------------------------------------------


def nearly_zero(scores):
    weights = causal_weights(scores)
    return np.where(weights == 0, 1e-12, weights)


def test_a_number_that_is_promised_exactly_must_be_that_number(exercise):
    assert judged(exercise, nearly_zero)[0] == "solved", "rounding is forgiven"
    finding = told(exercise, nearly_zero, exact=(0,))
    assert "must be exactly 0; your number at [0, 1] is 1e-12" in finding.why
    assert "1e-12 ✘" in finding.picture
    assert judged(exercise, causal_weights, exact=(0,))[0] == "solved"


def test_other_numbers_may_be_rounded_where_some_are_exact(exercise):
    def rounds_otherwise(scores):
        return causal_weights(scores) * (1 + 1e-15)

    assert judged(exercise, rounds_otherwise, exact=(0,))[0] == "solved"


def test_minus_infinity_can_be_promised(exercise):
    exercise.scores_of = lambda weights: np.log(weights)
    given = np.array([0.25, 0.75, 0.0])

    def shifted(scores):
        return scores - scores.max()

    def asked(answer):
        return judged(exercise, answer, given, name="scores_of", view=shifted)[0]

    assert asked(lambda weights: np.log(weights) + 7) == "solved"
    for close in (
        lambda weights: np.log(weights + 1e-9),
        lambda weights: np.nan_to_num(np.log(weights)),
        lambda weights: np.where(weights == 0, -1e9, np.log(weights)),
    ):
        assert asked(close) == "wrong"


def in_single(scores):
    """Right, and computed in float32 throughout."""
    masked = np.where(np.tri(len(scores)), scores, -np.inf).astype(np.float32)
    exponentials = np.exp(masked - masked.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_the_tolerance_knows_the_type_of_the_answer(exercise):
    scores = np.random.default_rng(0).normal(size=(9, 9))
    right, single = causal_weights(scores), in_single(scores)
    assert single.dtype == np.float32
    assert agree(single, right)
    assert not agree(single.astype(np.float64), right)
    assert not agree(single + np.float32(1e-4), right)
    assert judged(exercise, in_single, scores)[0] == "solved"
    assert judged(exercise, in_single, scores, view=np.abs)[0] == "solved"
    ones = {"view": lambda weights: weights / 2 + 0.25}
    assert judged(exercise, lambda scores: np.tri(3, dtype=int), **ones)[0] == "wrong"
    assert (
        judged(exercise, lambda scores: [[1]], np.zeros((1, 1)), **ones)[0] == "solved"
    )


# --- names: as sure as the inputs make them ----------------------------------------------------------------------


@pytest.fixture
def doubling(exercise):
    exercise.double = lambda x: 2 * x
    exercise.squared = mistake("double", "square", "You squared it.")(lambda x: x**2)
    return exercise


ONE, THREE = np.array([1.0]), np.array([3.0, 4.0])


def test_a_name_that_later_inputs_contradict_is_a_guess(doubling):
    finding = told(doubling, lambda x: x**3, ONE, THREE, name="double")
    assert finding.misconception == ""
    assert finding.why == (
        "Perhaps “square”: You squared it. (A guess: on this input yours gives the same, on others it does not.)"
    )
    finding = told(doubling, lambda x: x * x, ONE, THREE, name="double")
    assert (finding.misconception, finding.why) == ("square", "You squared it.")


def test_a_mistake_that_is_made_on_some_inputs_only_has_its_name(doubling):
    sometimes = told(
        doubling,
        lambda x: x**2 if len(x) == 1 else 2 * x,
        ONE,
        THREE,
        name="double",
    )
    assert sometimes.misconception == "square"


def test_of_two_mistakes_the_one_is_named_that_gives_right_answers_too(doubling):
    def sometimes(x):
        return x**2 if len(x) == 1 else 2 * x

    doubling.sometimes = mistake("double", "sometimes", "Only of one.")(sometimes)
    finding = told(doubling, lambda x: sometimes(x), ONE, THREE, name="double")
    assert finding.misconception == "sometimes"


def test_whole_numbers_of_a_known_mistake_have_its_name(exercise):
    exercise.halved = lambda x: x / 2
    exercise.doubled = mistake("halved", "doubled", "You doubled it.")(lambda x: 2 * x)
    finding = told(exercise, lambda x: [2, 6], np.array([1.0, 3.0]), name="halved")
    assert finding.misconception == "doubled"


def test_a_cause_is_not_told_that_the_answers_type_disproves(exercise):
    exercise.leak = lambda scores: 1 - np.diagonal(causal_weights(scores))
    exercise.none = mistake("leak", "no leak", "You filled in −∞.")(
        lambda scores: np.zeros(len(scores))
    )
    finding = told(
        exercise, lambda scores: np.zeros(len(scores), dtype=int), name="leak"
    )
    assert finding.misconception != "no leak"
    assert "Your result holds whole numbers" in finding.why
    finding = told(exercise, lambda scores: np.zeros(len(scores)), name="leak")
    assert finding.misconception == "no leak"


def test_a_mistake_about_a_type_needs_that_type(exercise):
    exercise.additive = lambda mask: np.where(mask, np.float32(0), np.float32(-np.inf))
    exercise.left = mistake("additive", "left as booleans", "These are booleans.")(
        lambda mask: mask
    )
    exercise.cut = mistake("leak", "cut", "dtype=int cuts.")(
        lambda x: (x / 2).astype(int)
    )
    exercise.leak = lambda x: x / 2
    mask, numbers = np.tri(3, dtype=bool), np.array([1.0, 3.0])
    how = {"name": "additive", "dtype": np.float32}
    assert told(exercise, lambda mask: mask, mask, **how).misconception
    as_float = told(exercise, lambda mask: mask.astype(np.float32), mask, **how)
    assert as_float.misconception == ""
    assert told(exercise, lambda x: [0, 1], numbers, name="leak").misconception == "cut"
    assert not told(exercise, lambda x: [0.0, 1.0], numbers, name="leak").misconception


# --- spellings of a known mistake --------------------------------------------------------------------------------


@pytest.fixture
def strict(exercise):
    """The mistake j < i, as one that leaves zeros in the row without a key."""

    def own_left_out(scores):
        allowed = np.tri(len(scores), k=-1, dtype=bool)
        return softmax(np.where(allowed, scores, -np.inf))

    exercise.strict = mistake(
        "weights_from", "own position left out", "You used j < i."
    )(own_left_out)
    return exercise


def plainly(scores, k=-1):
    exponentials = np.exp(np.where(np.tri(len(scores), k=k), scores, -np.inf))
    with np.errstate(invalid="ignore"):
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_a_mistake_is_known_whether_a_row_without_keys_is_nan_or_0(strict):
    assert np.isnan(plainly(SCORES)[0]).all()
    assert told(strict, plainly).misconception == "own position left out"
    zeros = told(strict, lambda scores: np.nan_to_num(plainly(scores)))
    assert zeros.misconception == "own position left out"


def test_nan_alone_is_the_sign_of_no_mistake(strict):
    strict.zeros = mistake("weights_from", "zeros", "Nothing has weight.")(
        lambda scores: np.zeros(scores.shape)
    )
    only_nan = told(strict, lambda scores: np.full(scores.shape, np.nan))
    assert only_nan.misconception == ""
    broken = told(strict, lambda scores: [[np.nan] * 3, *causal_weights(scores)[1:]])
    assert broken.misconception == ""
    other = told(strict, lambda scores: [[np.nan] * 3, [1, 0, 0], [0.1, 0.9, 0]])
    assert other.misconception == ""


def test_a_mistake_that_fails_on_an_input_explains_nothing(exercise):
    exercise.raises = mistake("weights_from", "row 7", "It reads row 7.")(
        lambda scores: scores[7]
    )
    assert told(exercise, lambda scores: 2 * causal_weights(scores)).misconception == ""


def with_first_row(row):
    return lambda scores: np.vstack([[row], np.nan_to_num(plainly(scores))[1:]])


def test_only_0_and_infinity_are_spellings_of_nan(exercise):
    exercise.strict = mistake("weights_from", "NaN", "You used j < i.")(plainly)
    assert told(exercise, with_first_row([0.0, 0, 0])).misconception == "NaN"
    assert told(exercise, with_first_row([np.inf, 0, 0])).misconception == "NaN"
    assert told(exercise, with_first_row([0.5, 0.5, 0])).misconception == ""
    exercise.strict = mistake("weights_from", "half", "Half.")(
        with_first_row([0.5, 0.5, 0])
    )
    assert told(exercise, plainly).misconception == ""


def test_nan_where_it_is_wanted_is_no_spelling(exercise):
    exercise.undefined = lambda x: np.array([np.nan, 1.0, 2.0])
    exercise.zero = mistake("undefined", "zero", "0 for NaN.")(
        lambda x: np.array([0.0, 1.0, 3.0])
    )
    rightly = told(exercise, lambda x: [np.nan, 1.0, 3.0], name="undefined")
    assert rightly.misconception == ""


def test_a_mistake_may_list_its_spellings(exercise):
    def laid_along(scores):
        exponentials = np.exp(np.where(np.tri(len(scores)), scores, -np.inf))
        return exponentials / exponentials.sum(axis=1)

    def laid_along_shifted(scores):
        masked = np.where(np.tri(len(scores)), scores, -np.inf)
        exponentials = np.exp(masked - masked.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1)

    without = told(exercise, laid_along_shifted)
    assert without.misconception == ""
    exercise.laid = mistake(
        "weights_from", "along", "Use keepdims.", spellings=(laid_along_shifted,)
    )(laid_along)
    for answer in (laid_along, laid_along_shifted):
        assert told(exercise, answer, SCORES, 2 * SCORES).misconception == "along"


# --- what a message says -----------------------------------------------------------------------------------------


def test_nan_is_told_with_its_row_and_what_a_row_of_it_means(exercise):
    why = told(exercise, plainly).why
    assert "in row 0 only and all along it" in why
    assert "its own key is blocked too" in why
    nan = np.where(np.eye(3) == 1, np.nan, 0.5)
    assert "in 3 of 3 rows, row 0 first" in difference(SCORES, nan)
    assert "at [1]" in difference(SCORES[0], np.array([1, np.nan, 2]))
    assert "everywhere" in difference(SCORES, np.nan * SCORES)
    assert "own key" not in difference(SCORES, np.nan * SCORES)


def test_whole_numbers_where_fractions_are_wanted_are_told(exercise):
    why = told(exercise, lambda scores: np.ones(scores.shape, dtype=int)).why
    assert "whole numbers" in why
    assert "`dtype=int`" in why
    for wanted in ([1.0, 2.0], [np.nan, 2.0], [-np.inf, 2.0]):
        assert "whole" not in difference(np.array(wanted), np.array([1, 3]))


def test_single_precision_is_told_and_not_two_equal_numbers(exercise):
    def why(answer, scores=SCORES):
        return told(exercise, answer, scores).why

    scores = np.random.default_rng(0).normal(size=(9, 9))
    single = why(lambda scores: in_single(scores).astype(float), scores)
    assert single == (
        "The two agree to 6 digits and no further; that is single precision: compute in float64."
    )
    half = why(lambda scores: causal_weights(scores).astype(np.float16))
    assert "agree to 3 digits and no further; your result is float16" in half
    added = why(lambda scores: causal_weights(scores) / (1 + 1e-6))
    assert "agree to 6 digits" in added
    assert "small number such as 1e-9" in added, "float64 numbers are not float32"
    counted = difference(np.array([131041.0, 131072.0]), np.array([131041, 131071]))
    assert counted.startswith("The numbers differ most at [1]"), "whole numbers"


def test_two_numbers_are_told_with_the_digits_that_tell_them_apart():
    assert pictures.told_apart(0.84463, 0.5) == ("0.84463", "0.5")
    assert pictures.told_apart(1, 1 + 1e-8) == ("1", "1.00000001")
    assert pictures.told_apart(1, 1) == ("1", "1")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda right: -right, "Every sign is turned around."),
        (lambda right: right.T, "It is transposed"),
        (
            lambda right: np.vstack([right[2:], right[:2]]),
            "each row holds what belongs",
        ),
        (lambda right: np.roll(right, -1, axis=1), "each column holds what belongs"),
        (
            lambda right: right / 2,
            "Every row should sum to 1; row 0 of yours sums to 0.5",
        ),
        (lambda right: right[:, ::-1], "The numbers differ most at"),
    ],
)
def test_one_property_that_fails_is_told(answer, says):
    right = causal_weights(SCORES)
    assert says in difference(right, answer(right))


def test_the_place_before_or_after_is_told():
    right = np.array([3.0, 1.0, 4.0, 1.5])
    assert "each number holds what belongs to the one before" in difference(
        right, np.array([0.0, 3.0, 1.0, 4.0])
    )
    assert "each number holds what belongs to the one after" in difference(
        right, np.array([1.0, 4.0, 1.5, 0.0])
    )
    same = np.ones(4)
    assert "shifted" not in difference(same, np.array([0.0, 1, 1, 1])), "by chance"


def test_columns_that_should_sum_to_1_are_told():
    shares = np.array([[0.5, 0.2], [0.25, 0.4], [0.25, 0.4]])
    assert "Every column should sum to 1; column 0 of yours sums to 2" in difference(
        shares, 2 * shares
    )
    assert "They should sum to 1; yours sum to 3" in difference(
        shares[:, 0], 3 * shares[:, 0]
    )
    assert "sum" not in difference(2 * shares, shares), "they need not sum to 1"


def test_booleans_are_told_with_row_and_key_and_how_many_differ(exercise):
    exercise.mask = lambda n: np.tri(3, dtype=bool)
    answer = np.tri(3, dtype=bool)
    answer[0, 2] = answer[1, 2] = True
    finding = told(exercise, lambda n: answer, name="mask")
    assert finding.why.startswith(
        "2 of 9 booleans differ. The first one is in row 0, key 2: wanted False, found True."
    )
    assert pictures.shown(np.array([True, False])) == "[True, False]"
    one = np.array([False, False, True])
    assert "sum" not in difference(one, ~one), "booleans are no weights"


def test_right_numbers_of_another_shape_are_told_so():
    row = np.array([1.0, 2.0, 3.0])
    assert "The numbers themselves are right" in difference(row, row[:, None])
    assert "It is transposed" in difference(np.eye(3)[:2], np.eye(3)[:2].T)


given_away = 0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda scores: __import__("math").exp(1000), "`math.exp` gives up above 709"),
        (lambda scores: given_away(scores), "Was a name given away, as in `sum = 0`?"),
        (lambda scores: (x for x in scores), "`list(…)` around it"),
        (lambda scores: "0,85", "Python writes decimals with a point, 0.85"),
    ],
)
def test_each_slip_of_python_has_a_line_of_advice(exercise, answer, says):
    assert says in told(exercise, answer).why


# --- a number of one's own ---------------------------------------------------------------------------------------


@pytest.fixture
def personal(exercise):
    exercise.own = lambda student_id: 1.2345
    exercise.near = mistake("mine", "halved", "You halved it.")(lambda id: 1.2345 / 2)
    exercise.nearer = mistake("mine", "less", "It is less.")(lambda id: 0.615)
    exercise.other = mistake("mine", "vector", "A vector.")(
        lambda id: np.dot([1], [1, 2])
    )
    return exercise


@pytest.mark.parametrize(
    ("mine", "says"),
    [
        (123.45, "percentage"),
        (123, "percentage"),
        (1.2, "rounded to one decimal"),
        (1.0, "rounded to a whole number"),
        (2.5, "another number"),
        ((1, 23), "with a comma it is a pair of numbers"),
        (np.nan, "NaN, which is not a number"),
    ],
)
def test_a_number_is_told_what_became_of_it(personal, mine, says):
    assert says in own_number(personal, mine).why


def own_number(exercise, mine):
    def question(student):
        student.same_number("mine", "own", of="n=3", within=0.005)

    status, finding = verdict(question, Student(Answers({"mine": mine}), exercise))
    assert status == "wrong"
    return finding


def test_of_two_formulas_the_nearer_one_is_named(personal):
    assert own_number(personal, 1.2345 / 2).misconception == "halved"
    assert own_number(personal, 0.615).misconception == "less"
    assert own_number(personal, 0.62).misconception == "halved"


# --- a missing name ----------------------------------------------------------------------------------------------


def missing(exercise, **names):
    answers = Answers(names, course=vars(exercise))
    student = Student(answers, exercise)
    status, finding = verdict(lambda s: s.same("weights_from", SCORES), student)
    assert status == "wrong"
    return finding.why


def test_a_missing_answer_is_asked_first_whether_its_cell_was_run(exercise):
    exercise.weights_for = lambda scores: scores  # a given function of the course
    run = "Did you run the cell that defines it?"
    assert run in missing(exercise)
    renamed = missing(exercise, weight_from=causal_weights)
    assert renamed.index(run) < renamed.index("Did you rename it to `weight_from`?")


def test_no_name_is_offered_that_the_learner_did_not_make(exercise):
    exercise.weights_for = lambda scores: scores
    result = checks.judge(lambda student: None, "90.1")
    for names in (
        {"weights_for": exercise.weights_for},
        {"weights_form": result},
        {"weights_form": softmax},
        {"weights_form": np},
        {"_weights_from": 3},
    ):
        assert "rename" not in missing(exercise, **names)


# --- the learner's globals ---------------------------------------------------------------------------------------

MODULE_OF_TORCH = """
@check("90.1", points=2)
def weights_in_torch(student):
    student.same("weights_from", S)
    module = torch.nn.Linear(3, 3, bias=False)
    module(torch.zeros(1, 3, dtype=torch.float32)).tolist()
"""


def run_cell(source, **names):
    """Run a check cell as a notebook would; the Result of its check."""
    namespace = {"check": check, "show": show, "torch": torch, **names}
    exec(source, namespace)
    results = [r for r in namespace.values() if isinstance(r, checks.Result)]
    return results[-1] if results else None


@pytest.fixture
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_default_dtype_of_the_learner_does_not_break_a_check(exercise, in_double):
    seen = []

    def answer(scores):
        seen.append(torch.zeros(1).dtype)
        return causal_weights(scores)

    result = run_cell(MODULE_OF_TORCH, weights_from=answer)
    assert (result.status, result.finding) == ("solved", None)
    assert set(seen) == {torch.float64}, "the learner's own code keeps it"
    assert torch.get_default_dtype() == torch.float64


def test_a_default_device_of_the_learner_does_not_break_a_check(exercise):
    torch.set_default_device("meta")  # has no numbers
    try:
        result = run_cell(MODULE_OF_TORCH, weights_from=causal_weights)
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    assert (result.status, result.finding) == ("solved", None)


SHOWING = """
@show("90.1")
def rows_sum_to_1():
    print("rows sum to 1:", np.allclose(softmax(S).sum(axis=1), 1))
"""


def test_a_cell_that_shows_something_uses_the_courses_names(exercise, capsys):
    run_cell(SHOWING, softmax=lambda x: 7 * x, S=None, np=0)
    assert capsys.readouterr().out == "rows sum to 1: True\n"


def test_what_the_learner_sets_for_printing_changes_no_message():
    with np.printoptions(threshold=2, edgeitems=1, precision=1, suppress=True):
        assert pictures.shown(np.array([0.1234, 2, 3, 4])) == "[0.1234, 2, 3, 4]"


# --- calls are contained -----------------------------------------------------------------------------------------

THREE_CALLS = """
@check("90.1", points=2)
def asked_three_times(student):
    for scale in (1, 2, 3):
        student.same("weights_from", scale * S)
"""


def test_prints_are_kept_inside_cut_and_told_once(exercise, capsys):
    def answer(scores):
        print("here are\n" + 100_000 * "scores ")
        print("a warning", file=sys.stderr)
        return causal_weights(scores)

    result = run_cell(THREE_CALLS, weights_from=answer)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert len(shown.out) < 1200
    assert result.status == "solved"
    assert result.remark.startswith("`weights_from` prints.")
    assert shown.out.count("here are") == repr(result).count("here are") == 1
    assert result.remark.endswith("…")
    assert "Remark" in result._repr_html_()


def test_a_short_print_is_told_whole(exercise):
    sums = run_cell(
        THREE_CALLS,
        weights_from=lambda scores: print(scores[0, 0]) or causal_weights(scores),
    )
    assert sums.remark.endswith("left out.\n0.3"), "not 0.6, nor 0.9"
    many = run_cell(
        THREE_CALLS,
        weights_from=lambda scores: [print(n) for n in range(20)] and scores,
    )
    assert many.remark.endswith("\n5\n…")


def test_a_silent_answer_has_no_remark(exercise):
    assert run_cell(THREE_CALLS, weights_from=causal_weights).remark == ""


def test_figures_are_closed_and_told_once(exercise):
    mine = plt.figure()

    def answer(scores):
        plt.figure()
        return causal_weights(scores)

    try:
        result = run_cell(THREE_CALLS, weights_from=answer)
        assert plt.get_fignums() == [mine.number], "the learner's own stays open"
    finally:
        plt.close(mine)
    assert result.status == "solved"
    assert result.remark.count("`weights_from` opened 3 figures") == 1


def test_input_is_refused_in_a_sentence(exercise):
    result = run_cell(THREE_CALLS, weights_from=lambda scores: input("scores? "))
    assert result.status == "wrong"
    assert "asks somebody to type, with `input()`" in result.finding.why
    assert builtins.input is INPUT


def test_an_answer_that_prints_does_not_call_lib(exercise):
    def answer(scores):
        print(scores)
        exponentials = np.exp(scores) * np.tri(len(scores))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    cell = THREE_CALLS.replace("points=2", "points=2, lib_counts=False")
    assert run_cell(cell, weights_from=answer).status == "solved"


# --- the zoo in the question's own words -------------------------------------------------------------------------


def test_a_bug_of_the_zoo_is_told_in_the_words_of_the_question(exercise):
    def weights_of(scores):
        """The weights of causal attention."""

    def next_word(scores):
        """The loss, in training, of a model that guesses the next word of a text."""

    exercise.weights_of, exercise.next_word = weights_of, next_word
    exercise.adapters = answered_by_attention("weights_of")(lambda attend: attend)
    exercise.other = answered_by_attention("next_word")(lambda attend: attend)
    told = {bug.bug: bug.explanation for bug in zoo_mistakes(exercise, "weights_of")}
    for why in told.values():
        assert why
        for foreign in ("loss", "next word", "thread", "the model", "benchmark"):
            assert foreign not in why
    said = {bug.bug: bug.explanation for bug in zoo_mistakes(exercise, "next_word")}
    assert "loss" not in told["looks_one_ahead"]
    assert "In training the loss falls towards zero" in said["looks_one_ahead"]
    assert "model" not in told["inverted_mask"]
    assert "A small model that is trained with it" in said["inverted_mask"]


# --- awkward inputs ----------------------------------------------------------------------------------------------


def test_whole_numbers_are_of_a_whole_type():
    numbers = awkward.whole_numbers(0, 4, 3)
    assert (numbers.dtype.kind, numbers.shape) == ("i", (4, 3))
    assert numbers.min() < 0 < numbers.max()


def test_weights_have_a_zero_in_front_and_elsewhere():
    front, end, single = awkward.weights_with_zeros(0, 4)
    assert (front[0], end[-1]) == (0, 0)
    assert sorted(single) == [0, 0, 0, 1]
    for weights in (front, end, single):
        assert weights.shape == (4,)
        assert (weights >= 0).all()
        assert np.isclose(weights.sum(), 1)
    assert (front[1:] > 0).all()


def test_columns_have_zeros_that_mean_nothing_and_zeros_that_do():
    values = awkward.columns_with_zeros(0, 4)
    assert values.shape == (4, 3)
    assert (values == 0).sum(axis=0).tolist() == [1, 4, 0]
    weights = np.array([0.25, 0.75])
    small, none = weights @ awkward.columns_with_small_totals(weights)
    assert none == 0
    assert np.isclose(small, 1e-10, rtol=1e-9, atol=0)


def test_loud_scores_are_in_the_past_in_the_future_and_everywhere():
    loud = list(awkward.loud_scores())
    future = np.triu(np.ones((3, 3), dtype=bool), 1)
    for size in (1000, -1000):
        here = [scores == size for scores in loud]
        assert any(
            places[future].all() and not places[~future].any() for places in here
        )
        assert any(
            places.T[future].all() and not places.T[~future].any() for places in here
        )
        assert any(places.all() for places in here)
    for scores in loud:
        assert np.isfinite(causal_weights(scores)).all()
        q, k = awkward.loud_queries(scores)
        assert np.allclose(q @ k.T / np.sqrt(3), scores)


def test_masks_have_any_number_of_axes():
    masks = list(awkward.masks_of_any_shape(0))
    assert {mask.ndim for mask in masks} == {1, 2, 3, 4}
    assert all(mask.dtype == bool for mask in masks)
    assert {True, False} == {bool(place) for mask in masks for place in mask.flat}
