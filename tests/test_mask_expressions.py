"""Masks as expressions: the laws of the algebra, printing, comparing, copying, JSON."""

import copy
import dataclasses
import itertools
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCHED,
    IDS,
    NAMED,
    batched_masks_with_rules,
    lengths,
    masks,
)

import lib.masks
from lib.masks import (
    Mask,
    block_causal,
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

trees = st.one_of(masks, batched_masks_with_rules.map(lambda pair: pair[0]))
empty = ~full


def same(one, other, n=(7, 9)):
    """The masks allow the same pairs; one without a batch is the same for all rows of a batch."""
    one, other = np.broadcast_arrays(one.dense(*n), other.dense(*n))
    np.testing.assert_array_equal(one, other)


# --- laws -----------------------------------------------------------------------------------------


@given(trees, trees)
def test_and_and_or_commute_and_absorb_each_other(a, b):
    same(a & b, b & a)
    same(a | b, b | a)
    same(a & (a | b), a)
    same(a | (a & b), a)


@given(trees, trees, trees)
def test_and_and_or_associate_and_distribute(a, b, c):
    same((a & b) & c, a & (b & c))
    same((a | b) | c, a | (b | c))
    same(a & (b | c), (a & b) | (a & c))
    same(a | (b & c), (a | b) & (a | c))


@given(trees, trees)
def test_de_morgan_and_double_negation(a, b):
    same(~(a & b), ~a | ~b)
    same(~(a | b), ~a & ~b)
    same(~~a, a)


@given(trees)
def test_full_and_its_negation_are_the_neutral_masks(a):
    same(a & full, a)
    same(a | empty, a)
    same(a & empty, empty)
    same(a | full, full)
    same(a & ~a, empty)
    same(a | ~a, full)


@given(trees, trees, st.integers(1, 4))
def test_coarse_keeps_and_or_and_not(a, b, size):
    same(coarse(a & b, size), coarse(a, size) & coarse(b, size))
    same(coarse(a | b, size), coarse(a, size) | coarse(b, size))
    same(coarse(~a, size), ~coarse(a, size))
    same(coarse(a, 1), a)
    same(coarse(coarse(a, size), 2), coarse(a, 2 * size))


@given(trees, st.integers(0, 3), st.integers(0, 3))
def test_shifts_add_up(a, once, again):
    same(a.shift(once).shift(again), a.shift(once + again))
    assert a.shift(0) == a


@given(trees, lengths())
def test_a_shift_brings_the_square_reading_to_the_rectangle(mask, n):
    n_q, n_k = n
    shifted = mask.shift(n_k - n_q)
    b = None if mask.batch is None else np.arange(mask.batch)[:, None, None]
    i, j = np.arange(n_q)[:, None], np.arange(n_k)[None, :]
    np.testing.assert_array_equal(
        np.broadcast_to(shifted(b, 0, i, j), mask.dense(*n).shape), mask.dense(*n)
    )


@given(trees)
def test_a_mask_is_called_with_batch_head_query_and_key(mask):
    """The reading of FlexAttention, pair by pair: int32 scalars, and Python's ints."""
    dense = mask.dense(5)
    for b, i, j in itertools.product(range(mask.batch or 1), range(5), range(5)):
        wanted = dense[i, j] if mask.batch is None else dense[b, i, j]
        assert bool(mask(b, 0, i, j)) == wanted
        scalars = (torch.tensor(x, dtype=torch.int32) for x in (b, 0, i, j))
        answer = mask(*scalars)
        assert answer.dtype == torch.bool
        assert answer.item() == wanted


# --- printing -------------------------------------------------------------------------------------

ALL = [mask for mask, _ in NAMED + BATCHED]


def again(mask):
    return eval(repr(mask), vars(lib.masks))


@given(trees)
def test_repr_evaluates_to_an_equal_mask(mask):
    assert again(mask) == mask
    assert hash(again(mask)) == hash(mask)
    assert repr(again(mask)) == repr(mask)


@pytest.mark.parametrize("mask", ALL, ids=lambda mask: repr(mask)[:40])
def test_repr_of_every_mask_evaluates_to_an_equal_mask(mask):
    assert again(mask) == mask
    same(again(mask), mask)


@pytest.mark.parametrize(
    "text",
    [
        "full",
        "causal & window(3)",
        "~causal",
        "~~causal",
        "~(causal & window(3))",
        "~causal & window(3)",
        "causal & window(3) | full",
        "causal & (window(3) | full)",
        "causal & window(3) & full",
        "causal & (window(3) & full)",
        "causal | window(3) | full",
        "causal | (window(3) | full)",
        "causal.shift(2)",
        "(~causal).shift(2)",
        "~causal.shift(2)",
        "(causal & full).shift(2)",
        "(causal | full).shift(2).shift(3)",
        "causal & full.shift(2)",
        "coarse(causal | ~full, 2)",
        "coarse(causal, 2).shift(1)",
        "coarse(explicit([[True], [False]]), 2, query_size=1)",
        "local(2, 0)",
        "offsets({0, 2, 11})",
        "every(3, 1)",
        "prefix(2) | sink(2)",
        "document([[0, 1], [2, 2]])",
        "padding([3, 4])",
        "padding(3)",
        "explicit([[True, False]])",
        "~Mask(lambda i, j: (i - j) < 3)",
        "Mask(lambda i, j: (i < j) & (~((i % 2) == 0)))",
        "Mask(lambda i, j: ((j + 2) // 3) <= (-2 - i)).shift(1)",
    ],
)
def test_repr_has_the_brackets_it_needs_and_no_more(text):
    assert repr(eval(text, vars(lib.masks))) == text


def test_repr_names_the_defaults_and_sorts_the_offsets():
    assert repr(every(3)) == "every(3, 0)"
    assert repr(offsets([7, 0, 7, 3])) == "offsets({0, 3, 7})"
    assert repr(block_causal(4)) == "coarse(causal, 4)"
    assert repr(coarse(causal, 4, 4)) == "coarse(causal, 4)"


# --- comparing ------------------------------------------------------------------------------------


def test_masks_are_equal_when_their_expressions_are():
    assert causal & window(3) == causal & window(np.int64(3))
    assert len({causal & window(3), causal & window(3), window(3) & causal}) == 2
    assert causal & full != causal | full
    assert ~causal != causal
    assert causal != "causal"
    assert prefix(3) == sink(3)
    assert hash(prefix(3)) == hash(sink(3))
    assert causal & prefix(3) == causal & sink(3)
    assert Mask(lambda i, j: i > j) == Mask(lambda query, key: key < query)
    assert coarse(causal, 4, 4) == coarse(causal, 4)


def test_masks_that_differ_in_one_argument_or_kind_differ():
    different = [
        *(full, causal, window(3), window(4), strided(3), same_block(3), prefix(3)),
        *(local(1, 2), local(1, 3), local(2, 2), offsets({0, 1}), offsets({0, 2})),
        *(every(3, 0), every(3, 1), every(4, 0), prefix(4), coarse(full, 3)),
        *(coarse(causal, 3), coarse(causal, 4), coarse(causal, 4, 1), causal.shift(3), causal.shift(4)),
        *(full.shift(3), causal & full, full & causal, causal & causal, causal | full),
        *(~full, ~causal, document([1, 2]), document([1, 3]), document([[1, 2]])),
        *(padding(3), padding(4), padding([3]), explicit([[True]]), explicit([[False]])),
        *(Mask(lambda i, j: j <= i), Mask(lambda i, j: j < i), Mask(lambda i, j: i <= j)),
        *(explicit([[True, False]]), explicit([[True], [False]])),
    ]  # fmt: skip
    for one, other in itertools.combinations(different, 2):
        assert one != other, (one, other)
        assert one.to_json() != other.to_json()
    assert len(set(different)) == len(different)


def test_equal_tables_are_equal_whatever_their_dtype_and_library():
    ids = [0, 0, 3]
    equal = {
        document(ids),
        document(np.array(ids, dtype=np.uint8)),
        document(np.array(ids, dtype=">i4")),
        document(torch.tensor(ids, dtype=torch.int32)),
    }
    assert len(equal) == 1
    array = np.array([[True, False], [True, True]])
    assert explicit(array) == explicit(torch.tensor(array)) == explicit(array.tolist())


# --- staying the same -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mask",
    [*ALL, causal & full, causal | full, ~full],
    ids=lambda mask: repr(mask)[:40],
)
def test_a_mask_cannot_be_changed(mask):
    before, text = mask.dense(5), repr(mask)
    for field in [*dataclasses.fields(mask), "name"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(mask, getattr(field, "name", field), causal)
    np.testing.assert_array_equal(mask.dense(5), before)
    assert repr(mask) == text


def test_a_mask_does_not_follow_the_array_it_was_made_of():
    for kind, array in (
        (document, np.array([0, 0, 1])),
        (padding, np.array([1, 2])),
        (explicit, np.eye(3, dtype=bool)),
        (document, torch.tensor([0, 0, 1])),
    ):
        mask = kind(array)
        before = mask.dense(3)
        array[...] = 0
        np.testing.assert_array_equal(mask.dense(3), before)


def test_the_table_of_a_mask_is_read_only():
    for mask in (document([0, 1]), copy.deepcopy(document([0, 1]))):
        with pytest.raises(ValueError, match="read-only"):
            mask.ids.array[0] = 1


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda mask: pickle.loads(pickle.dumps(mask))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("mask", ALL, ids=lambda mask: repr(mask)[:40])
def test_copies_are_equal(mask, duplicate):
    mask.allowed(torch.arange(3), 0)  # with a table that has become a tensor
    assert duplicate(mask) == mask
    assert hash(duplicate(mask)) == hash(mask)
    same(duplicate(mask), mask)


# --- JSON -----------------------------------------------------------------------------------------


@given(trees)
def test_json_and_back_is_an_equal_mask(mask):
    restored = Mask.from_json(mask.to_json())
    assert restored == mask
    assert type(restored) is type(mask)
    same(restored, mask)


@pytest.mark.parametrize("mask", ALL, ids=lambda mask: repr(mask)[:40])
def test_json_and_back_for_every_mask(mask):
    restored = Mask.from_json(mask.to_json())
    assert restored == mask
    assert repr(restored) == repr(mask)


def test_json_is_plain_and_names_each_part():
    mask = ~(causal & document([0, 1])) | Mask(lambda i, j: i - j < 3).shift(2)
    assert json.loads(mask.to_json()) == {
        "mask": "Or",
        "left": {
            "mask": "Not",
            "operand": {
                "mask": "And",
                "left": {"mask": "Causal"},
                "right": {"mask": "document", "ids": [0, 1]},
            },
        },
        "right": {
            "mask": "Shift",
            "operand": {"mask": "Rule", "expression": ["<", ["-", "i", "j"], 3]},
            "positions": 2,
        },
    }


GARBAGE = {
    "no JSON": ("causal & window(3)", ["Expecting value"]),
    "half of it": (causal.to_json()[:-1], ["Expecting"]),
    "a number": ("3", ["got 3"]),
    "null": ("null", ["got None"]),
    "a list": ('[{"mask": "Causal"}]', ["got [{"]),
    "a string": ('"causal"', ["got 'causal'"]),
    "no name": ('{"size": 3}', ["None", "window"]),
    "unknown mask": ('{"mask": "Window", "size": 3}', ["'Window'", "window"]),
    "a class of Python": ('{"mask": "Mask"}', ["'Mask'"]),
    "a name that is a list": ('{"mask": ["window"]}', ["list"]),
    "field missing": ('{"mask": "window"}', ["window", "size"]),
    "field too many": ('{"mask": "Causal", "size": 3}', ["Causal", "size"]),
    "wrong number": ('{"mask": "window", "size": 0}', ["size", "at least 1", "0"]),
    "wrong type": ('{"mask": "window", "size": "3"}', ["size", "integer", "'3'"]),
    "a mask as number": (
        '{"mask": "window", "size": {"mask": "Causal"}}',
        ["size", "integer", "causal"],
    ),
    "a number as mask": ('{"mask": "Not", "operand": 3}', ["~:", "mask", "int"]),
    "numbers as masks": ('{"mask": "And", "left": 3, "right": 4}', ["&:", "int"]),
    "half a mask": (
        '{"mask": "Or", "left": {"mask": "Causal"}, "right": null}',
        ["|:", "NoneType"],
    ),
    "shift back": (
        '{"mask": "Shift", "operand": {"mask": "Causal"}, "positions": -1}',
        ["positions", "at least 0", "-1"],
    ),
    "coarse of nothing": (
        '{"mask": "coarse", "operand": [], "size": 2}',
        ["coarse:", "mask", "list"],
    ),
    "ragged table": ('{"mask": "document", "ids": [[1], [1, 2]]}', ["document"]),
    "table of numbers": ('{"mask": "explicit", "table": [[1]]}', ["explicit", "bool"]),
    "empty rule": ('{"mask": "Rule", "expression": []}', ["rule", "condition", "()"]),
    "rule as source": (
        '{"mask": "Rule", "expression": "__import__(\'os\')._exit(3)"}',
        ["rule", "function", "__import__"],
    ),
    "name as source": ('{"mask": "__import__(\'os\')._exit(3)"}', ["__import__"]),
    "rule that calls": (
        '{"mask": "Rule", "expression": ["__call__", "i", "j"]}',
        ["rule", "condition", "__call__"],
    ),
    "rule with a mask in it": (
        '{"mask": "Rule", "expression": ["<", "i", {"mask": "Causal"}]}',
        ["rule", "condition"],
    ),
    "rule that is a mask": ('{"mask": "Rule", "expression": {"mask": "full"}}', []),
    "rule of constants": (
        '{"mask": "Rule", "expression": ["~", ["<", 1, 2]]}',
        ["rule", "condition"],
    ),
    "rule of a boolean": (
        '{"mask": "Rule", "expression": ["<", "i", true]}',
        ["rule", "condition"],
    ),
    "rule with one operand": (
        '{"mask": "Rule", "expression": ["<", "i"]}',
        ["rule", "condition"],
    ),
    "rule that divides by 0": (
        '{"mask": "Rule", "expression": ["<", ["%", "i", 0], "j"]}',
        ["rule", "condition"],
    ),
    "far too deep": ("[" * 100_000, ["recursion"]),
    "no text": (None, ["NoneType"]),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_from_json_refuses_what_is_no_mask(case):
    text, words = GARBAGE[case]
    with pytest.raises(
        ValueError, match="text: expected a mask as to_json writes it"
    ) as caught:
        Mask.from_json(text)
    said = str(caught.value)
    assert all(word in said for word in words), said


# --- masks that do not fit together ---------------------------------------------------------------


def test_masks_of_batches_of_other_sizes_do_not_combine():
    for use in (
        lambda: document([[0, 1], [1, 1]]) & padding([1, 2, 3]),
        lambda: document([[0, 1], [1, 1]]) | padding([1, 2, 3]),
        lambda: (causal & document([[0, 1], [1, 1]])) | ~padding([1, 2, 3]).shift(1),
    ):
        with pytest.raises(ValueError, match=r"batch: expected .* got 2 and 3 rows"):
            use()


@pytest.mark.parametrize(
    ("mask", "batch"),
    [
        (causal, None),
        (document(IDS), None),
        (document([[0], [1]]), 2),
        (padding([1, 2, 3]), 3),
        (causal | ~coarse(padding([1, 2, 3]).shift(1), 2), 3),
        (padding([1, 2]) & document([[0], [1]]), 2),
    ],
)
def test_a_composition_has_the_batch_of_its_parts(mask, batch):
    assert mask.batch == batch


def test_a_composition_begins_where_its_array_of_the_last_rows_does():
    last = explicit(np.tri(2, 5, 3, dtype=bool))
    for mask, starts in (
        (last, 3),
        (causal & last, 3),
        (last | causal, 3),
        (~last, 3),
        (last.shift(1), 2),
        (coarse(last, 2), 6),
    ):
        with pytest.raises(ValueError, match=rf"here mask\.shift\({starts}\)"):
            mask(0, 0, 0, 0)
        assert mask.shift(starts)(0, 0, 0, 0) == mask.read(
            np.array(starts), np.array(0)
        )
