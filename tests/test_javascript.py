"""Rules as JavaScript: the text that a page gets. `browser/test_playground.py` runs it and compares with `dense`."""

import numpy as np
import pytest

from lib.masks import (
    KINDS,
    Mask,
    causal,
    coarse,
    document,
    every,
    explicit,
    full,
    local,
    offsets,
    padding,
    prefix,
    same_block,
    sink,
    strided,
    window,
)
from lib.readings.javascript import function_of_arguments

TEXTS = [
    (full, "(i >= 0) && (j >= 0)"),
    (causal, "j <= i"),
    (window(3), "((i - j) < 3) && ((j - i) < 3)"),
    (local(2, 1), "((i - j) <= 2) && ((j - i) <= 1)"),
    (offsets({0, 4}), "((i - j) === 0) || ((i - j) === 4)"),
    (offsets({0, 1}), "((i - j) >= 0) && ((i - j) <= 1)"),
    (strided(3), "((((i - j) % 3) + 3) % 3) === 0"),
    (every(4, 1), "(((j % 4) + 4) % 4) === 1"),
    (prefix(2), "j < 2"),
    (sink(2), "j < 2"),
    (same_block(3), "Math.floor(i / 3) === Math.floor(j / 3)"),
    (coarse(causal, 4), "Math.floor(j / 4) <= Math.floor(i / 4)"),
    (coarse(causal, 4, 1), "Math.floor(j / 4) <= Math.floor(i / 1)"),
    (causal.shift(2), "j <= (i + 2)"),
    (~causal & prefix(1), "!(j <= i) && (j < 1)"),
    (causal | prefix(1), "(j <= i) || (j < 1)"),
    (Mask(lambda i, j: 2 + j > i - 3), "(i - 3) < (j + 2)"),
    (Mask(lambda i, j: (i > 3) & (j < 5)), "(i > 3) && (j < 5)"),
    (Mask(lambda i, j: (3 - i) // 2 == -1), "Math.floor((3 - i) / 2) === -1"),
    (padding(3), "j < 3"),
    (document([0, 1]), "[0, 1][i].valueOf() === [0, 1][j].valueOf()"),
    (explicit([[True, False]]), "[[true, false]][i - 1][j].valueOf()"),
]  # fmt: skip


@pytest.mark.parametrize(("mask", "rule"), TEXTS, ids=lambda value: repr(value)[:30])
def test_a_mask_is_a_function_of_a_query_and_a_key(mask, rule):
    assert mask.to_javascript() == f"(i, j) => {rule}"


OPEN = {
    "Full": "() => (i, j) => (i >= 0) && (j >= 0)",
    "Causal": "() => (i, j) => j <= i",
    "window": "(size) => (i, j) => ((i - j) < size) && ((j - i) < size)",
    "local": "(left, right) => (i, j) => ((i - j) <= left) && ((j - i) <= right)",
    "offsets": "(distances) => (i, j) => distances.some((one) => (i - j) === one)",
    "strided": "(stride) => (i, j) => ((((i - j) % stride) + stride) % stride) === 0",
    "every": "(period, remainder) => (i, j) => (((j % period) + period) % period) === remainder",
    "prefix": "(size) => (i, j) => j < size",
    "sink": "(size) => (i, j) => j < size",
    "same_block": "(size) => (i, j) => Math.floor(i / size) === Math.floor(j / size)",
    "coarse": "(operand, size, query_size) => (i, j) => operand(Math.floor(i / query_size), Math.floor(j / size))",
    "And": "(left, right) => (i, j) => left(i, j) && right(i, j)",
    "Or": "(left, right) => (i, j) => left(i, j) || right(i, j)",
    "Not": "(operand) => (i, j) => !operand(i, j)",
    "Shift": "(operand, positions) => (i, j) => operand(i + positions, j)",
}


@pytest.mark.parametrize("name", OPEN)
def test_a_kind_of_mask_is_a_function_of_its_arguments(name):
    assert function_of_arguments(KINDS[name]) == OPEN[name]


@pytest.mark.parametrize("name", sorted(KINDS.keys() - OPEN.keys()))
def test_a_kind_that_holds_a_table_is_refused(name):
    assert name in {"document", "padding", "explicit", "Rule"}
    with pytest.raises(TypeError, match=rf"^{name}: its \w+ is no number.*to_java"):
        function_of_arguments(KINDS[name])


@pytest.mark.parametrize(
    "mask",
    [document([[0, 1], [0, 0]]), padding([1, 2]) & causal, explicit(np.ones((2, 3, 3), bool))],
)  # fmt: skip
def test_a_batch_is_refused(mask):
    with pytest.raises(ValueError, match=r"^to_javascript: .* got one of 2 rows"):
        mask.to_javascript()


@pytest.mark.parametrize(
    "rule",
    [lambda i, j: 0 <= i - j < 3, lambda i, j: i != j, lambda i, j: not i < j],
)
def test_a_rule_of_another_making_that_asks_for_a_truth_value_is_refused(rule):
    class Foreign(Mask):
        def rule(self, i, j):
            return rule(i, j)

    with pytest.raises(TypeError, match=r"with & \| ~, not with and/or/not"):
        Foreign().to_javascript()
