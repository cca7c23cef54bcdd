"""The algebra of masks against a scalar double loop, against tables drawn by hand, and against bad input."""

import dataclasses

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from strategies import lengths, masks, masks_with_rules, repeatable

from lib.masks import causal, full, window

# --- what a mask allows ---------------------------------------------------------------------------


@given(masks_with_rules, lengths())
@repeatable
def test_dense_agrees_with_a_scalar_double_loop(mask_with_rule, n):
    mask, rule = mask_with_rule
    dense = mask.dense(*n)
    assert dense.dtype == bool
    np.testing.assert_array_equal(dense, oracle.dense(rule, *n), strict=True)


@given(masks_with_rules)
@repeatable
def test_allowed_of_two_ints_is_the_rule_and_a_bool(mask_with_rule):
    mask, rule = mask_with_rule
    for i in range(8):
        for j in range(8):
            answer = mask.allowed(i, j)
            assert type(answer) is bool
            assert answer == rule(i, j)


TABLES = {
    full: """
        ■■■■■
        ■■■■■
        ■■■■■
        ■■■■■
        ■■■■■""",
    causal: """
        ■⬚⬚⬚⬚
        ■■⬚⬚⬚
        ■■■⬚⬚
        ■■■■⬚
        ■■■■■""",
    ~causal: """
        ⬚■■■■
        ⬚⬚■■■
        ⬚⬚⬚■■
        ⬚⬚⬚⬚■
        ⬚⬚⬚⬚⬚""",
    window(3): """
        ■■■⬚⬚
        ■■■■⬚
        ■■■■■
        ⬚■■■■
        ⬚⬚■■■""",
    causal & window(3): """
        ■⬚⬚⬚⬚
        ■■⬚⬚⬚
        ■■■⬚⬚
        ⬚■■■⬚
        ⬚⬚■■■""",
    ~causal | window(1): """
        ■■■■■
        ⬚■■■■
        ⬚⬚■■■
        ⬚⬚⬚■■
        ⬚⬚⬚⬚■""",
    causal & ~window(2): """
        ⬚⬚⬚⬚⬚
        ⬚⬚⬚⬚⬚
        ■⬚⬚⬚⬚
        ■■⬚⬚⬚
        ■■■⬚⬚""",
}

# Two queries and five keys: the queries are positions 3 and 4.
RECTANGLES = {
    full: """
        ■■■■■
        ■■■■■""",
    causal: """
        ■■■■⬚
        ■■■■■""",
    window(2): """
        ⬚⬚■■■
        ⬚⬚⬚■■""",
    causal & window(3): """
        ⬚■■■⬚
        ⬚⬚■■■""",
}


def drawing(dense):
    return "\n".join("".join("■" if may else "⬚" for may in row) for row in dense)


def lines(table):
    return "\n".join(line.strip() for line in table.strip().splitlines())


@pytest.mark.parametrize("mask", TABLES, ids=repr)
def test_square_table(mask):
    assert drawing(mask.dense(5)) == lines(TABLES[mask])


@pytest.mark.parametrize("mask", RECTANGLES, ids=repr)
def test_fewer_queries_than_keys_are_the_last_positions(mask):
    assert drawing(mask.dense(2, 5)) == lines(RECTANGLES[mask])


@pytest.mark.parametrize("w", [1, 2, 3, 5, 8, 9])
def test_a_causal_window_reads_w_keys_or_all_there_are(w):
    counts = (causal & window(w)).dense(8).sum(axis=1)
    assert counts.tolist() == [min(i + 1, w) for i in range(8)]


@given(masks, lengths())
@repeatable
def test_the_last_rows_of_the_square_are_the_rectangle(mask, n):
    n_q, n_k = n
    np.testing.assert_array_equal(mask.dense(n_q, n_k), mask.dense(n_k)[n_k - n_q :])


def test_the_number_of_keys_defaults_to_the_number_of_queries():
    assert causal.dense(4).shape == (4, 4)


@pytest.mark.parametrize(
    ("n", "shape"), [((0,), (0, 0)), ((1,), (1, 1)), ((0, 3), (0, 3)), ((0, 0), (0, 0))]
)
def test_no_token_and_one_token(n, shape):
    for mask in (full, causal, window(2), causal & window(1)):
        assert mask.dense(*n).shape == shape
        assert mask.dense(*n).all()


def test_more_queries_than_keys_only_where_order_does_not_matter():
    assert full.dense(3, 2).tolist() == [[True, True]] * 3
    assert (~full).dense(3, 2).tolist() == [[False, False]] * 3
    assert (full & ~full | full).dense(2, 0).shape == (2, 0)


def test_dense_gives_an_array_of_its_own():
    first = full.dense(3)
    first[:] = False
    assert full.dense(3).all()


# --- index arrays ---------------------------------------------------------------------------------

KINDS = {
    "numpy": np.arange,
    "numpy int32": lambda n: np.arange(n, dtype=np.int32),
    "numpy uint8": lambda n: np.arange(n, dtype=np.uint8),
    "numpy uint64": lambda n: np.arange(n, dtype=np.uint64),
    "torch": torch.arange,
    "torch int32": lambda n: torch.arange(n, dtype=torch.int32),
    "torch uint8": lambda n: torch.arange(n, dtype=torch.uint8),
}
SAMPLES = [
    full,
    causal,
    window(2),
    ~causal,
    causal & window(3),
    ~(causal & window(2)) | ~full,
]


@pytest.mark.parametrize("mask", SAMPLES, ids=repr)
@pytest.mark.parametrize("j_kind", KINDS)
@pytest.mark.parametrize("i_kind", KINDS)
def test_index_arrays_broadcast_and_agree_with_dense(mask, i_kind, j_kind):
    i, j = KINDS[i_kind](6)[:, None], KINDS[j_kind](6)[None, :]
    allowed = mask.allowed(i, j)
    if "torch" in i_kind + j_kind:
        assert allowed.dtype == torch.bool
        allowed = allowed.numpy()
    np.testing.assert_array_equal(allowed, mask.dense(6), strict=True)


@pytest.mark.parametrize("mask", SAMPLES, ids=repr)
def test_an_index_array_meets_an_int(mask):
    keys = mask.dense(6)
    np.testing.assert_array_equal(mask.allowed(4, np.arange(6)), keys[4])
    np.testing.assert_array_equal(mask.allowed(np.arange(6), 2), keys[:, 2])
    np.testing.assert_array_equal(mask.allowed(4, torch.arange(6)).numpy(), keys[4])
    np.testing.assert_array_equal(
        mask.allowed(torch.arange(6), np.int64(2)).numpy(), keys[:, 2]
    )
    np.testing.assert_array_equal(mask.allowed(4, [0, 1, 2]), keys[4, :3])


def test_numpy_integers_count_as_ints():
    assert causal.allowed(np.uint8(3), np.int32(2)) is True
    assert causal.allowed(np.uint8(2), np.uint8(3)) is False


def test_no_positions_give_no_answers():
    assert causal.allowed([], 3).shape == (0,)
    assert causal.allowed(torch.arange(0), 3).shape == (0,)


def test_allowed_leaves_the_callers_arrays_alone():
    i, j = np.arange(5), torch.arange(5)
    (causal & window(2)).allowed(i, i)
    (causal & window(2)).allowed(j, j)
    assert i.tolist() == j.tolist() == [0, 1, 2, 3, 4]


# --- expressions ----------------------------------------------------------------------------------


@given(masks)
@repeatable
def test_repr_evaluates_to_an_equal_mask(mask):
    again = eval(repr(mask), {"full": full, "causal": causal, "window": window})
    assert again == mask
    assert hash(again) == hash(mask)
    assert repr(again) == repr(mask)


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
    ],
)
def test_repr_has_the_brackets_it_needs_and_no_more(text):
    assert repr(eval(text, {"full": full, "causal": causal, "window": window})) == text


def test_masks_are_equal_when_their_expressions_are():
    assert causal & window(3) == causal & window(np.int64(3))
    assert len({causal & window(3), causal & window(3), window(3) & causal}) == 2
    assert causal != full
    assert window(3) != window(4)
    assert causal & full != causal | full
    assert ~causal != causal
    assert causal != "causal"


def test_a_mask_cannot_be_changed():
    for mask, field in (
        (window(3), "size"),
        (causal & full, "left"),
        (causal | full, "right"),
        (~full, "operand"),
    ):
        before = repr(mask)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(mask, field, causal)
        assert repr(mask) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        causal.name = "mine"


# --- bad input: the message names what was given, what is expected and what to do ------------------


def message(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_a_mask_has_no_truth_value():
    for use in (
        lambda: bool(causal),
        lambda: causal and window(3),
        lambda: not causal,
        lambda: causal or full,
    ):
        said = message(TypeError, use)
        assert "& | ~" in said
        assert "causal" in said


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        (0, ValueError, ["size", "at least 1", "0"]),
        (-1, ValueError, ["size", "at least 1", "-1"]),
        (2.5, TypeError, ["size", "integer", "2.5", "float"]),
        (3.0, TypeError, ["size", "integer", "3.0", "float"]),
        (True, TypeError, ["size", "integer", "True", "bool"]),
        ("3", TypeError, ["size", "integer", "'3'", "str"]),
        (None, TypeError, ["size", "integer", "None"]),
    ],
)
def test_window_refuses_what_is_no_size(size, error, words):
    said = message(error, lambda: window(size))
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("i", "j", "error", "words"),
    [
        (-1, 0, ValueError, ["i:", "count from 0", "-1"]),
        (0, -2, ValueError, ["j:", "count from 0", "-2"]),
        (np.array([3, -4]), 0, ValueError, ["i:", "count from 0", "-4"]),
        (torch.tensor([3, -4]), 0, ValueError, ["i:", "count from 0", "-4"]),
        (torch.tensor([3, 4]), -5, ValueError, ["j:", "count from 0", "-5"]),
        (1.0, 0, TypeError, ["i:", "integer", "float64"]),
        (0, np.array([0.5]), TypeError, ["j:", "integer", "float64"]),
        (torch.tensor([0.5]), 0, TypeError, ["i:", "integer", "torch.float32"]),
        (torch.tensor([1]), np.array([0.5]), TypeError, ["j:", "integer", "float64"]),
        (True, 0, TypeError, ["i:", "integer", "bool"]),
        (0, torch.tensor([True]), TypeError, ["j:", "integer", "torch.bool"]),
        ("a", 0, TypeError, ["i:", "integer"]),
    ],
)
def test_allowed_refuses_what_is_no_position(i, j, error, words):
    said = message(error, lambda: causal.allowed(i, j))
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    "mask", [causal, window(2), causal & full, full | causal, ~causal], ids=repr
)
def test_more_queries_than_keys_are_refused_where_order_matters(mask):
    said = message(ValueError, lambda: mask.dense(3, 2))
    assert all(word in said for word in ("n_q=3", "n_k=2", repr(mask), "n_k >= n_q")), (
        said
    )


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ((-1,), ValueError, ["n_q", "at least 0", "-1"]),
        ((2, -3), ValueError, ["n_k", "at least 0", "-3"]),
        ((2.0,), TypeError, ["n_q", "integer", "2.0"]),
        ((2, "5"), TypeError, ["n_k", "integer", "'5'"]),
        ((True,), TypeError, ["n_q", "integer", "True"]),
    ],
)
def test_dense_refuses_what_is_no_length(lengths, error, words):
    said = message(error, lambda: causal.dense(*lengths))
    assert all(word in said for word in words), said


ARRAYS = {
    "ndarray": np.ones((2, 2), dtype=bool),
    "Tensor": torch.ones(2, 2, dtype=torch.bool),
    "bool": True,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_masks_combine_with_masks_alone(kind):
    array = ARRAYS[kind]
    for operator, use in (
        ("&", lambda: causal & array),
        ("&", lambda: array & causal),
        ("|", lambda: causal | array),
        ("|", lambda: array | causal),
    ):
        said = message(TypeError, use)
        assert all(
            word in said for word in (f"{operator}:", "mask", kind, "explicit(")
        ), said
