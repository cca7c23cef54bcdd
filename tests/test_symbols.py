"""Rules traced from functions: what ``Mask(lambda i, j: …)`` records, and what it refuses."""

from inspect import signature

import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import conditions

import lib.masks
from lib.masks import Mask, causal, window

# Each rule with its loop: Python's own operators on ints are the reference.
RULES = {
    "<": lambda i, j: i < j,
    "<=": lambda i, j: i <= j,
    ">": lambda i, j: i > j,
    ">=": lambda i, j: i >= j,
    "==": lambda i, j: i == j,
    "!=": lambda i, j: i != j,
    "int on the left of a comparison": lambda i, j: 3 < i,  # noqa: SIM300
    "int on the right": lambda i, j: j >= 3,
    "+": lambda i, j: i + j < 6,
    "int +": lambda i, j: 2 + j < i + 1,
    "-": lambda i, j: i - j < 2,
    "int -": lambda i, j: 5 - i < j - 1,
    "negative differences": lambda i, j: j - i < -2,
    "//": lambda i, j: i // 3 == j // 2,
    "// of a negative number": lambda i, j: (i - j) // 2 < -1,
    "%": lambda i, j: (i + j) % 3 == 1,
    "% of a negative number": lambda i, j: (i - j) % 4 == 1,
    "no j": lambda i, j: i % 2 == 0,
    "no i": lambda i, j: j < 4,
    "nested": lambda i, j: (i // 2 - (j + 1) % 3) - (i - (j - 2)) < 1,
    "i against itself": lambda i, j: i - i == 0,
}
COMBINED = {
    "&": lambda i, j: (j <= i) & (i - j < 3),
    "|": lambda i, j: (i < j) | (i % 3 == 0),
    "~": lambda i, j: ~(i < j),
    "all": lambda i, j: ~((i < j) & (j < 5)) & ((i == 2) | ~(j > 1)),
    "NumPy integer": lambda i, j: (i - j < np.int64(3)) & (np.int32(1) <= i),
    "NumPy integer -": lambda i, j: np.int64(4) - i < j,
}


def table(rule):
    """The rule pair by pair; NumPy's bool, for Python's ~True is −2."""
    return [[bool(rule(np.int64(i), np.int64(j))) for j in range(8)] for i in range(8)]


@pytest.mark.parametrize("name", RULES | COMBINED)
def test_a_traced_rule_is_the_function(name):
    rule = (RULES | COMBINED)[name]
    mask = Mask(rule)
    assert mask.dense(8).tolist() == table(rule)
    assert [[mask.allowed(i, j) for j in range(8)] for i in range(8)] == table(rule)
    positions = torch.arange(8)
    assert mask.allowed(positions[:, None], positions).tolist() == table(rule)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_comparisons_is_python_itself(name):
    rule = RULES[name]
    wanted = [[rule(i, j) for j in range(8)] for i in range(8)]
    assert Mask(rule).dense(8).tolist() == wanted


@given(conditions)
def test_any_rule_is_recorded_printed_and_sent_without_a_change(source):
    rule = eval(f"lambda i, j: {source}")
    mask = Mask(rule)
    assert mask.dense(8).tolist() == table(rule)
    assert eval(repr(mask), vars(lib.masks)) == mask
    assert Mask.from_json(mask.to_json()) == mask


def test_a_rule_meets_other_masks():
    band = causal & Mask(lambda i, j: i - j < 3)
    assert (band.dense(8) == (causal & window(3)).dense(8)).all()


def test_a_function_with_a_name_and_names_of_its_own():
    def every_other(query, key):
        distance = query - key
        return distance % 2 == 0

    assert repr(Mask(every_other)) == "Mask(lambda i, j: ((i - j) % 2) == 0)"


def test_the_function_is_called_once():
    calls = []

    def rule(i, j):
        calls.append((i, j))
        return j <= i

    mask = Mask(rule)
    mask.dense(4)
    mask.allowed(3, 2)
    assert len(calls) == 1


TRUTH = ["has no truth value", "and", "or", "not", "if", "& (i - j < 4)"]
REFUSED = {
    "chain": (lambda i, j: 0 <= i - j < 3, [*TRUTH, "0 <= (i - j)"]),
    "and": (lambda i, j: i < j and j < 3, [*TRUTH, "i < j"]),
    "or": (lambda i, j: i < j or j < 3, [*TRUTH, "i < j"]),
    "not": (lambda i, j: not i < j, [*TRUTH, "i < j"]),
    "if": (lambda i, j: (i < 3) if j < 2 else (j < i), [*TRUTH, "j < 2"]),
    "in": (lambda i, j: i in (1, 2), [*TRUTH, "i == 1"]),
    "min": (lambda i, j: min(i, j) < 3, [*TRUTH, "j < i"]),
    "a number": (lambda i, j: i - j, ["condition", "`i - j`"]),
    "i itself": (lambda i, j: i, ["condition", "`i`"]),
    "a constant": (lambda i, j: True, ["condition", "True (bool)"]),
    "nothing": (lambda i, j: None, ["condition", "None (NoneType)"]),
    "i // j": (lambda i, j: i // j < 3, ["`i // j`", "positive integer"]),
    "% 0": (lambda i, j: i % 0 == 0, ["`i % 0`", "positive integer"]),
    "// -2": (lambda i, j: i // -2 == j, ["`i // -2`", "positive integer"]),
    "int // i": (lambda i, j: 6 // i == j, ["`i`", "cannot record"]),
    "int % i": (lambda i, j: 6 % i == j, ["`i`", "cannot record"]),
    "float": (lambda i, j: i < 2.5, ["2.5 (float)", "integer"]),
    "bool": (lambda i, j: (i < j) & True, ["True (bool)", "integer"]),
    "bool on the left": (lambda i, j: True | (i < j), ["True (bool)", "integer"]),
    "NumPy bool": (lambda i, j: (i < j) & np.True_, ["np.True_", "integer"]),
    "array": (lambda i, j: i < np.array([1, 2]), ["array([1, 2])", "integer"]),
    "tensor": (lambda i, j: i < torch.tensor(2), ["tensor(2)", "integer"]),
    "text": (lambda i, j: i == "j", ["'j' (str)", "integer"]),
    "a mask": (lambda i, j: (i < j) & causal, ["causal (Causal)", "integer"]),
    "*": (lambda i, j: 2 * i < j, ["`i`", "cannot record"]),
    "/": (lambda i, j: i / 2 < j, ["`i`", "cannot record"]),
    "**": (lambda i, j: i**2 < j, ["`i`", "cannot record"]),
    "^": (lambda i, j: (i < 3) ^ (j < 3), ["`i < 3`", "cannot record"]),
    "abs": (lambda i, j: abs(i - j) < 3, ["`i - j`", "cannot record", "write abs"]),
    "unary -": (lambda i, j: -i < j, ["`i`", "cannot record"]),
    "range": (lambda i, j: i in range(j), ["`j`", "cannot record"]),
    "~ of a number": (lambda i, j: ~i < j, ["`~i`"]),
    "& of numbers": (lambda i, j: i & j, ["`i & j`"]),
    "+ of conditions": (lambda i, j: (i < j) + 1, ["`(i < j) + 1`"]),
    "< of conditions": (lambda i, j: (i < j) < j, ["`(i < j) < j`"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_rule_is_refused_with_advice(name):
    rule, words = REFUSED[name]
    with pytest.raises(TypeError, match=r"^rule: ") as caught:
        Mask(rule)
    said = str(caught.value)
    assert said.count("+ - // % < <= == & | ~") == 1
    assert all(word in said for word in words), said


@pytest.mark.parametrize("value", [3, "j <= i", None, np.eye(3, dtype=bool)])
def test_a_mask_is_made_of_a_function(value):
    with pytest.raises(TypeError, match=r"^rule: expected a function") as caught:
        Mask(value)
    assert repr(value) in str(caught.value)


TABLE = [0, 0, 1]
FOREIGN = {
    "torch.abs": (lambda i, j: torch.abs(i - j) < 3, "must be Tensor"),
    "torch.where": (lambda i, j: torch.where(i < j, i, j) < 3, "where() received"),
    "a method": (lambda i, j: (i - j).abs() < 3, "no attribute 'abs'"),
    "np.abs": (lambda i, j: np.abs(i - j) < 3, "`i - j`"),
    "np.sin": (lambda i, j: np.sin(i) < j, "sin"),
    "list": (lambda i, j: TABLE[i] == TABLE[j], "`i`"),
    "array": (lambda i, j: np.array(TABLE)[i] == j, "only integers"),
    "tensor": (lambda i, j: torch.tensor(TABLE)[i] == j, "only integers"),
    "dictionary": (lambda i, j: {0: 1}[i] == j, "unhashable"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_other_libraries_say_to_a_symbol_is_explained(name):
    rule, problem = FOREIGN[name]
    with pytest.raises(TypeError, match=r"^rule: ") as caught:
        Mask(rule)
    said = str(caught.value)
    assert "\n" not in said
    for word in (problem, "+ - // %", "write abs(i - j) < w as", "document(ids)"):
        assert word in said, said


@pytest.mark.parametrize(
    "rule", [lambda i: i < 3, lambda b, h, i, j: i >= j, lambda i, j, *, w: i < w]
)
def test_a_function_of_other_arguments_is_refused(rule):
    with pytest.raises(TypeError, match=r"^rule: ") as caught:
        Mask(rule)
    said = str(caught.value)
    for word in (str(signature(rule)), "a query i and a key j", "mask_mod", "b and h"):
        assert word in said, said


def test_a_function_that_can_do_with_two_arguments_is_a_rule():
    assert Mask(lambda i, j, w=3: i - j < w) == Mask(lambda i, j: i - j < 3)
    assert Mask(lambda *positions: positions[1] <= positions[0]).dense(2).sum() == 3


def test_what_the_function_itself_raises_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        Mask(lambda i, j: i < 1 // 0)
