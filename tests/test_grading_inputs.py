"""What a learner's own inputs must be, what must move and what must stay: `lib.grading.inputs`."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.student import Student
from lib.masks import causal

Q, V = np.ones((3, 2)), np.ones((3, 4))


def student(**names):
    return Student(Answers(names), None)


def refusal(ask):
    with pytest.raises(Wrong) as wrong:
        ask()
    return wrong.value.finding


def test_arrays_that_fit_come_back_as_floats():
    ours = student(given=(Q.astype(int), Q.tolist(), V, True), one=[1, 2])
    q, k, v, flag = ours.arrays("given", "n d_k", "n d_k", "n d_v", "", n=(2, 3))
    assert [part.shape for part in (q, k, v, flag)] == [(3, 2), (3, 2), (3, 4), ()]
    assert {part.dtype for part in (q, k, v, flag)} == {np.dtype(np.float64)}
    [one] = ours.arrays("one", "n", n=2)
    assert one.tolist() == [1, 2]


def test_a_mask_of_the_course_stands_for_its_array():
    ours = student(mask=~causal)
    [array] = ours.arrays("mask", "n n", n=3)
    assert array.tolist() == np.triu(np.ones((3, 3)), 1).tolist()
    for shape, n in [("n n", (2, 4)), ("n m", 3), ("", 3)]:
        ask = partial(ours.arrays, "mask", shape, n=n)
        told = refusal(ask)
        assert told.why.startswith("`mask` is a Not, not a number or an array")
        assert "`.dense(n)` makes an array (n, n)" in told.why


def test_layers_may_be_a_list_of_masks_or_of_arrays():
    triangle = causal.dense(3)
    for layers in (
        [causal, ~causal],
        (causal, ~triangle),
        [triangle.tolist(), ~causal],
    ):
        [array] = student(layers=layers).arrays("layers", "l n n", l=2, n=3)
        assert np.array_equal(array, [triangle, ~triangle])
    for shape, n in [("l n n", (2, 4)), ("l m n", 3)]:
        told = refusal(partial(student(layers=[causal]).arrays, "layers", shape, n=n))
        assert told.why.startswith("`layers` is a list of 1, not a number or an array")


def test_an_empty_array_is_told_as_such():
    told = refusal(lambda: student(x=([1], [])).arrays("x", "n", "m"))
    assert told.why.endswith("(n,) and (m,). None may be empty.")


def test_a_diagnosis_speaks_with_the_words_of_its_question():
    outputs = {"A": np.zeros(2)}
    suspects = {1: lambda: np.zeros(2), 2: lambda: np.ones(2)}
    called = ("report", "explanation")
    for given, says in [([3], "There is no explanation 3"), ([2], "each report tells")]:
        ask = partial(student(told=given).diagnoses, "told", outputs, suspects)
        told = refusal(partial(ask, called=called))
        assert says in told.why


@pytest.mark.parametrize(
    ("given", "sizes", "says", "found"),
    [
        (
            (Q, Q[:2], V),
            {},
            "(n, d_k), (n, d_k) and (n, d_v).",
            "(3, 2), (2, 2), (3, 4)",
        ),
        (
            (Q, Q, V[0]),
            {},
            "expected arrays of the shapes",
            "shapes (3, 2), (3, 2), (4,)",
        ),
        ((Q[:0], Q[:0], V[:0]), {}, "expected arrays of the shapes", "(0, 2)"),
        ((Q, Q, V), {"n": (4, 8)}, "with 4 ≤ n ≤ 8", "(3, 2)"),
        ((Q, Q, V), {"n": (1, 2)}, "with 1 ≤ n ≤ 2", "(3, 2)"),
        ((Q, Q, V), {"n": 4, "d_k": 2}, "with n = 4 and d_k = 2", "(3, 2)"),
    ],
)
def test_a_shape_that_does_not_fit_is_told(given, sizes, says, found):
    ours = student(given=given)
    told = refusal(lambda: ours.arrays("given", "n d_k", "n d_k", "n d_v", **sizes))
    assert told.why.startswith("given: expected ")
    assert says in told.why
    assert found in told.found


def test_one_array_is_told_without_a_plural():
    told = refusal(lambda: student(w=[[1.0]]).arrays("w", "n", n=(2, 8)))
    assert told.why == "w: expected an array of the shape (n,), with 2 ≤ n ≤ 8."
    assert told.found == "shape (1, 1)"


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_must_be_finite(number):
    told = refusal(lambda: student(w=[1, number]).arrays("w", "n"))
    assert "neither NaN nor inf" in told.why


def test_numbers_stay_within_their_range():
    assert student(w=[-1, 1]).arrays("w", "n", largest=1)
    told = refusal(lambda: student(w=[-1.5, 1]).arrays("w", "n", largest=1))
    assert told.why == "w: every number must lie between −1 and 1."
    assert told.found == "the largest size is 1.5"
    told = refusal(lambda: student().within("every score", np.array([np.nan]), 1))
    assert told.why.startswith("every score must lie between")


def test_a_stub_is_unsolved():
    with pytest.raises(Unsolved):
        student(w=...).arrays("w", "n")


def test_what_must_move_moves_by_more_than_the_bound():
    before, after = np.array([0.0, 1.0]), np.array([0.0, 1.5])
    student().moves(before, after, "It stays.", by=0.4)
    told = refusal(lambda: student().moves(before, after, "It stays.", by=0.5))
    assert (told.why, told.wanted, told.found) == ("It stays.", "more than 0.5", "0.5")
    refusal(lambda: student().moves(before, before, "It stays."))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_output_that_is_not_finite_has_not_moved(number):
    told = refusal(lambda: student().moves(np.ones(1), np.array([number]), "It stays."))
    assert "not finite" in told.why


def test_what_must_stay_stays_to_the_last_bit_or_up_to_rounding():
    before = np.array([1e6, 1.0])
    student().stays(before, before.copy(), "It moves.")
    told = refusal(lambda: student().stays(before, before * (1 + 1e-12), "It moves."))
    assert told.why == "It moves."
    shown = "before [1000000.0, 1.0] · after [1000000.0, 1.0]"
    assert (told.wanted, told.found) == ("", shown)
    one, other = np.array([90.14]), np.array([1.4])
    called = ("with it", "without it")
    told = refusal(lambda: student().stays(one, other, "It moves.", called=called))
    assert (told.wanted, told.found) == ("", "with it 90.14 · without it 1.4")
    refusal(lambda: student().stays(np.ones(1), np.ones(1) + 1e-12, "It moves."))
    student().stays(before, before * (1 + 1e-12), "It moves.", exactly=False)
    refusal(lambda: student().stays(before, before + 0.01, "It moves.", exactly=False))
    nothing = np.array([np.nan, 1.0])
    refusal(lambda: student().stays(before, nothing, "It moves.", exactly=False))


def test_a_diagnosis_is_compared_with_what_each_bug_makes():
    suspects = {1: lambda x: 1 / x, 2: lambda x: 2 * x, 3: lambda x: x**2}
    x = np.array([1.0, 3.0])
    outputs = {"A": np.array([2.0, 6.0]), "B": np.array([1.0, 0.333])}

    def ask(diagnosis):
        student(d=diagnosis).diagnoses("d", outputs, suspects, x)

    ask((2, 1))
    told = refusal(lambda: ask((2, 3)))
    assert told.why.startswith("1 of 2 is right.")
    assert (told.asked, told.wanted, told.found) == ("", "", "")
    assert refusal(lambda: ask((3, 3))).why.startswith("0 of 2 are right.")
    texts = refusal(lambda: ask(("2", "1")))
    assert "text; write the numbers without quotation marks" in texts.why
    for unordered in ({2, 1}, frozenset({2, 1})):
        told = refusal(lambda given=unordered: ask(given))
        assert "`sorted(…)` makes a list of it" in told.why
    for number in (0, 4, 1.5):
        assert f"no bug {number:g};" in refusal(lambda n=number: ask((2, n))).why
    assert "with n = 2" in refusal(lambda: ask((2, 1, 1))).why


def test_a_part_of_a_diagnosis_may_be_enough():
    suspects = {1: lambda x: x, 2: lambda x: 2 * x, 3: lambda x: 3 * x}
    x = np.array([1.0, 3.0])
    outputs = {name: number * x for name, number in zip("ABC", (3, 2, 1), strict=True)}

    def ask(diagnosis, at_least):
        asking = student(d=diagnosis)
        asking.diagnoses("d", outputs, suspects, x, at_least=at_least)

    ask((3, 2, 2), 2)
    told = refusal(lambda: ask((3, 3, 3), 2))
    assert told.why.startswith("1 of 3 is right.")
    assert refusal(lambda: ask((3, 2, 2), None)).why.startswith("2 of 3 are right.")


def test_recorded_runs_are_recognised_by_the_reference_answer():
    exercise = SimpleNamespace(d=(3, 1, 2))

    def ask(diagnosis, **more):
        asking = Student(Answers({"d": diagnosis}), exercise)
        asking.recognises("d", suspects=4, **more)

    ask([3, 1, 2])
    ask(np.array([3.0, 1.0, 4.0]), at_least=2)
    told = refusal(lambda: ask((2, 1, 1)))
    assert told.why.startswith("1 of 3 is right.")
    assert (told.asked, told.wanted, told.found) == ("", "", "")
    assert (
        "no bug 0; they are numbered from 1 to 4" in refusal(lambda: ask((3, 1, 0))).why
    )
    assert "no bug 5;" in refusal(lambda: ask((3, 1, 5))).why
    assert "with n = 3" in refusal(lambda: ask((3, 1))).why

    words = {"called": "way", "look": "Look!", "mixed_up": {(3, 2, 1): "Turned!"}}
    assert "no way 5;" in refusal(lambda: ask((3, 1, 5), **words)).why
    assert refusal(lambda: ask((2, 1, 1), **words)).why == "1 of 3 is right. Look!"
    turned = refusal(lambda: ask(np.array([3.0, 2.0, 1.0]), **words))
    assert turned.why == "1 of 3 is right. Turned!"
