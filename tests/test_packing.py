"""Padding and packing, against plain loops over what each number is said to mean."""

import math

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.conventions import (
    from_attention_mask,
    from_cu_seqlens,
    from_key_padding_mask,
    from_position_ids,
    from_segment_ids,
)
from lib.masks import causal, document, padding
from lib.numpy_attention import attention

# Of one text: on the left, on the right, both, with holes, whole, and nothing.
PADDED = [
    [0, 0, 1, 1, 1, 1],
    [1, 1, 1, 0, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [1, 0, 1, 1, 0, 1],
    [1, 1, 1, 1, 1, 1],
    [0, 0, 0, 0, 0, 0],
]


def keys_kept(attention_mask, n_q):
    """(batch, n_q, n_k) by a loop: a query reads the keys that have a 1."""
    batch, n_k = np.shape(attention_mask)
    allowed = np.zeros((batch, n_q, n_k), dtype=bool)
    for b in range(batch):
        for i in range(n_q):
            for j in range(n_k):
                allowed[b, i, j] = attention_mask[b][j] == 1
    return allowed


def same_number(ids, filler=None):
    """(n, n) by a loop: query and key have the same number, and it is not that of the filler."""
    n = len(ids)
    allowed = np.zeros((n, n), dtype=bool)
    for i in range(n):
        for j in range(n):
            allowed[i, j] = ids[i] == ids[j] and ids[i] != filler
    return allowed


KINDS = {
    "integers": lambda values: np.array(values),
    "booleans": lambda values: np.array(values) == 1,
    "floats": lambda values: np.array(values, dtype=np.float32),
    "a tensor": lambda values: torch.tensor(values),
    "a half tensor": lambda values: torch.tensor(values, dtype=torch.bfloat16),
    "a list": lambda values: values,
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_attention_mask_of_each_kind(kind):
    mask = from_attention_mask(KINDS[kind](PADDED))
    assert mask.batch == len(PADDED)
    np.testing.assert_array_equal(mask.dense(6), keys_kept(PADDED, 6))
    np.testing.assert_array_equal(mask.dense(2, 6), keys_kept(PADDED, 2))
    np.testing.assert_array_equal(mask.dense(9, 6), keys_kept(PADDED, 9))


rows = st.integers(0, 9).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=1, max_size=4
    )
)


@given(values=rows)
def test_any_attention_mask_and_its_opposite(values):
    values = np.array(values).reshape(len(values), -1)
    n = values.shape[1]
    wanted = keys_kept(values, n)
    np.testing.assert_array_equal(from_attention_mask(values).dense(n), wanted)
    bias = np.where(values == 1, 0, -np.inf).astype(np.float32)
    for padding_mask in (values == 0, torch.tensor(values == 0), torch.tensor(bias)):
        got = from_key_padding_mask(padding_mask)
        np.testing.assert_array_equal(got.dense(n), wanted)


def test_padding_on_the_right_is_padding():
    lengths = [3, 0, 5]
    values = np.arange(5) < np.array(lengths)[:, None]
    assert from_attention_mask(values) == padding(lengths)
    assert from_key_padding_mask(~values) == padding(lengths)
    np.testing.assert_array_equal(padding(lengths).dense(1, 5)[:, 0], values)


def test_keys_beyond_the_array_are_hidden():
    assert not from_attention_mask([[0, 1, 1], [1, 1, 0]]).allowed(3, 3).any()


def test_many_holes_nest_only_a_few_deep():
    values = (np.arange(4096) % 2)[None]
    mask = from_attention_mask(values)
    np.testing.assert_array_equal(mask.dense(1, 4096)[:, 0], values == 1)


def test_padding_on_the_left_leaves_rows_of_zeros():
    mask = causal & from_attention_mask([[0, 0, 1, 1, 1]])
    x = np.random.default_rng(0).normal(size=(1, 5, 4))
    output = attention(x, x, x, mask)
    assert (output[0, :2] == 0).all()
    allowed = np.tri(5, dtype=bool) & (np.arange(5) >= 2)
    np.testing.assert_allclose(output[0], oracle.attention(x[0], x[0], x[0], allowed))


# --- packing ---


def by_positions(position_ids):
    """Numbers of texts, by a loop: a new one where the positions begin again."""
    number, numbers = 0, []
    for place, position in enumerate(position_ids):
        number += place > 0 and position == 0
        numbers.append(number)
    return numbers


lengths_of_texts = st.lists(st.integers(1, 4), max_size=5)


@given(lengths=lengths_of_texts)
def test_positions_summed_lengths_and_segments_say_the_same(lengths):
    positions = [t for length in lengths for t in range(length)]
    numbers = [b for b, length in enumerate(lengths) for _ in range(length)]
    n = len(numbers)
    assert by_positions(positions) == numbers
    wanted = same_number(numbers)
    positions, numbers = (np.array(x, dtype=np.int32) for x in (positions, numbers))
    summed = np.cumsum([0, *lengths])
    for mask in (
        from_position_ids(positions),
        from_position_ids(torch.tensor(positions)),
        from_cu_seqlens(summed),
        from_cu_seqlens(torch.tensor(summed, dtype=torch.int32)),
        from_segment_ids(numbers),
        from_segment_ids(torch.tensor(numbers) + 7),
        document(numbers),
    ):
        np.testing.assert_array_equal(mask.dense(n), wanted)


def test_positions_of_a_batch_and_of_a_row_that_begins_inside_a_text():
    positions = [[0, 1, 2, 0, 1], [5, 6, 0, 0, 1]]
    wanted = [same_number(by_positions(row)) for row in positions]
    assert wanted[1].astype(int).tolist()[1] == [1, 1, 0, 0, 0]
    np.testing.assert_array_equal(from_position_ids(positions).dense(5), wanted)


def test_a_text_of_no_tokens_is_allowed_between_others():
    np.testing.assert_array_equal(
        from_cu_seqlens([0, 2, 2, 3]).dense(3), same_number([0, 0, 2])
    )
    assert from_cu_seqlens([0]).dense(0).shape == (0, 0)


@pytest.mark.parametrize(
    ("ids", "filler"),
    [
        ([0, 0, 1, 1, -1, -1], -1),
        ([-1, 0, 0, 1, 1, -1], -1),
        ([1, 1, 2, 2, 0, 0], 0),
        ([1, 1, 2, 2, 0, 0], None),
        ([0, 1, 2, 0, 1, 2], None),
        ([4, -1, 4, 7, -1, 7], -1),
    ],
)
def test_segments_with_padding_that_is_named(ids, filler):
    wanted = same_number(ids, filler)
    got = from_segment_ids(ids, padding=filler).dense(6)
    np.testing.assert_array_equal(got, wanted)
    batch = from_segment_ids([ids, ids[::-1]], padding=filler).dense(6)
    np.testing.assert_array_equal(batch, [wanted, wanted[::-1, ::-1]])


def test_padding_between_segments_reads_nothing():
    mask = causal & from_segment_ids([0, 0, -1, 1], padding=-1)
    x = np.random.default_rng(0).normal(size=(4, 4))
    assert (attention(x, x, x, mask)[2] == 0).all()


# --- what is refused ---

REFUSED = {
    "one text": (
        lambda: from_attention_mask([1, 1, 0]),
        ValueError,
        r"attention_mask: expected shape \(batch, keys\), got \(3,\); of one text, attention_mask\[None\]",
    ),
    "a mask for each pair": (
        lambda: from_key_padding_mask(np.ones((2, 1, 3, 3), dtype=bool)),
        ValueError,
        r"got \(2, 1, 3, 3\); with an entry for each query and key, from_sdpa, from_mha or from_additive",
    ),
    "numbers to add": (
        lambda: from_attention_mask([[0.0, -math.inf]]),
        ValueError,
        "attention_mask: expected 1 for text and 0 for padding, got -inf, 0; .* from_key_padding_mask",
    ),
    "not a number": (
        lambda: from_attention_mask([[1.0, math.nan]]),
        ValueError,
        "expected 1 for text and 0 for padding, got 1, nan",
    ),
    "segments for a mask": (
        lambda: from_attention_mask([[1, 1, 2, 2, 0]]),
        ValueError,
        "expected 1 for text and 0 for padding, got 0, 1, 2",
    ),
    "words": (
        lambda: from_attention_mask([["a", "b"]]),
        TypeError,
        "attention_mask: expected an array of booleans or numbers, got <U1",
    ),
    "does 1 keep or ignore": (
        lambda: from_key_padding_mask(np.array([[1, 1, 0]])),
        TypeError,
        r"True for padding, got torch.int64; .* from_attention_mask; if 1 is padding, give key_padding_mask == 1",
    ),
    "biases": (
        lambda: from_key_padding_mask([[0.0, -0.5]]),
        ValueError,
        "key_padding_mask: expected 0 and one number that blocks, .* got -0.5, 0",
    ),
    "a whole text of a finite number": (
        lambda: from_key_padding_mask(np.array([[-1e9, -1e9], [0, -1e9]])),
        ValueError,
        r"key_padding_mask: a row holds nothing but -1e\+09",
    ),
    "positions that jump": (
        lambda: from_position_ids([0, 1, 2, 5, 6]),
        ValueError,
        "position_ids: expected positions from 0 on that go up by one or begin again at 0, got 2, 5 at place 2; "
        ".* from_segment_ids",
    ),
    "positions that stand still": (
        lambda: from_position_ids([[0, 1, 2], [1, 1, 0]]),
        ValueError,
        "got 1, 1 at place 0",
    ),
    "positions that go back": (
        lambda: from_position_ids([0, 1, 2, 1]),
        ValueError,
        "got 2, 1 at place 2",
    ),
    "a position before the first": (
        lambda: from_position_ids([-1, 0, 1]),
        ValueError,
        "positions from 0 on .* got -1, 0 at place 0",
    ),
    "positions in floats": (
        lambda: from_position_ids([0.0, 1.0]),
        TypeError,
        "position_ids: expected integers, got torch.float64",
    ),
    "a mask for positions": (
        lambda: from_position_ids([True, False]),
        TypeError,
        "position_ids: expected integers, got torch.bool",
    ),
    "three axes of positions": (
        lambda: from_position_ids(np.zeros((3, 1, 4), dtype=int)),
        ValueError,
        r"position_ids: expected shape \(n,\) or \(batch, n\), got \(3, 1, 4\)",
    ),
    "lengths that are not summed": (
        lambda: from_cu_seqlens([3, 2]),
        ValueError,
        r"cu_seqlens: expected 0 and then the lengths summed up, .* got 3, 2; .* np.cumsum\(\[0, \*lengths\]\)",
    ),
    "sums that go down": (
        lambda: from_cu_seqlens([0, 3, 2]),
        ValueError,
        "got 0, 3, 2",
    ),
    "sums without a 0": (
        lambda: from_cu_seqlens([3, 5]),
        ValueError,
        "expected 0 and then the lengths summed up",
    ),
    "sums of a batch": (
        lambda: from_cu_seqlens([[0, 3]]),
        ValueError,
        r"cu_seqlens: expected shape \(texts \+ 1,\), got \(1, 2\)",
    ),
    "no sums": (
        lambda: from_cu_seqlens(np.array([], dtype=int)),
        ValueError,
        r"cu_seqlens: expected shape \(texts \+ 1,\), got \(0,\)",
    ),
    "padding that is not named": (
        lambda: from_segment_ids([0, 0, -1]),
        ValueError,
        "segment_ids: expected numbers of at least 0, got -1; if it stands for padding, say padding=-1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_a_message_that_helps(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_what_these_errors_advise_can_be_taken():
    text = np.array([1, 1, 0])
    wanted = padding([2]).dense(3)
    biases = np.where(text == 1, 0, -np.inf)[None]
    for mask in (
        from_attention_mask(text[None]),
        from_key_padding_mask(biases),
        from_attention_mask(text[None].astype(int)),
        from_key_padding_mask((1 - text[None]) == 1),
    ):
        np.testing.assert_array_equal(mask.dense(3), wanted)
    summed = from_cu_seqlens(np.cumsum([0, *[3, 2]]))
    np.testing.assert_array_equal(summed.dense(5), same_number([0, 0, 0, 1, 1]))
    for jumps in ([0, 0, 0, 1, 1], [0, 1, 2, 5, 6], [1, 1, 0]):
        from_segment_ids(jumps)


def test_an_array_that_runs_backwards_is_an_array():
    """Right padding turned round is left padding."""
    right = np.array([[1, 1, 0], [1, 1, 1]])
    left = from_attention_mask(right[:, ::-1])
    assert left == from_attention_mask(right[:, ::-1].copy())
