"""The algebra of masks against a scalar double loop, against tables drawn by hand, and against bad input."""

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from strategies import (
    BATCH,
    BATCHED,
    IDS,
    NAMED,
    ROWS,
    batched_masks_with_rules,
    lengths,
    masks,
    masks_with_rules,
)

from lib import numpy_attention, torch_attention
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

# --- what a mask allows ---------------------------------------------------------------------------


def named(mask):
    return repr(mask)[:60] if isinstance(mask, Mask) else "rule"


LENGTHS = [(n_q, n_k) for n_k in range(12) for n_q in range(n_k + 1)] + [(16, 16)]


@pytest.mark.parametrize(("mask", "rule"), NAMED, ids=named)
def test_every_mask_agrees_with_a_scalar_double_loop(mask, rule):
    for n_q, n_k in LENGTHS:
        np.testing.assert_array_equal(
            mask.dense(n_q, n_k), oracle.dense(rule, n_q, n_k), strict=True
        )


@pytest.mark.parametrize(("mask", "rules"), BATCHED, ids=["ids", "lengths", "tables"])
def test_every_batched_mask_agrees_with_a_scalar_double_loop(mask, rules):
    for n_q, n_k in LENGTHS:
        wanted = [oracle.dense(rule, n_q, n_k) for rule in rules]
        np.testing.assert_array_equal(
            mask.dense(n_q, n_k), np.reshape(wanted, (BATCH, n_q, n_k)), strict=True
        )


@given(masks_with_rules, lengths())
def test_dense_agrees_with_a_scalar_double_loop(mask_with_rule, n):
    mask, rule = mask_with_rule
    dense = mask.dense(*n)
    assert dense.dtype == bool
    np.testing.assert_array_equal(dense, oracle.dense(rule, *n), strict=True)


@given(batched_masks_with_rules, lengths())
def test_batched_dense_agrees_with_a_scalar_double_loop(mask_with_rules, n):
    mask, rules = mask_with_rules
    wanted = [oracle.dense(rule, *n) for rule in rules]
    np.testing.assert_array_equal(
        mask.dense(*n), np.reshape(wanted, (BATCH, *n)), strict=True
    )


@given(masks_with_rules)
def test_allowed_of_two_ints_is_the_rule_and_a_bool(mask_with_rule):
    mask, rule = mask_with_rule
    for i in range(8):
        for j in range(8):
            answer = mask.allowed(i, j)
            assert type(answer) is bool
            assert answer == rule(i, j)


def array(table):
    return [[cell == "■" for cell in row] for row in table.split()]


LETTER = """
    ⬚⬚⬚⬚⬚⬚⬚
    ⬚■■■■■⬚
    ⬚■⬚⬚⬚⬚⬚
    ⬚■■■⬚⬚⬚
    ⬚■⬚⬚⬚⬚⬚
    ⬚■⬚⬚⬚⬚⬚
    ⬚⬚⬚⬚⬚⬚⬚"""
LAST_ROWS = """
    ■■⬚⬚■⬚⬚
    ■⬚■⬚⬚■⬚
    ■⬚⬚■⬚⬚■"""

SQUARES = {
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
    local(2, 1): """
        ■■⬚⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■■■■⬚⬚⬚
        ⬚■■■■⬚⬚
        ⬚⬚■■■■⬚
        ⬚⬚⬚■■■■
        ⬚⬚⬚⬚■■■""",
    offsets({0, 2, 5}): """
        ■⬚⬚⬚⬚⬚⬚
        ⬚■⬚⬚⬚⬚⬚
        ■⬚■⬚⬚⬚⬚
        ⬚■⬚■⬚⬚⬚
        ⬚⬚■⬚■⬚⬚
        ■⬚⬚■⬚■⬚
        ⬚■⬚⬚■⬚■""",
    strided(3): """
        ■⬚⬚■⬚⬚■
        ⬚■⬚⬚■⬚⬚
        ⬚⬚■⬚⬚■⬚
        ■⬚⬚■⬚⬚■
        ⬚■⬚⬚■⬚⬚
        ⬚⬚■⬚⬚■⬚
        ■⬚⬚■⬚⬚■""",
    every(3): 7
    * """
        ■⬚⬚■⬚⬚■""",
    every(3, 2): 7
    * """
        ⬚⬚■⬚⬚■⬚""",
    prefix(2): 7
    * """
        ■■⬚⬚⬚⬚⬚""",
    causal | prefix(3): """
        ■■■⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■■■■⬚⬚⬚
        ■■■■■⬚⬚
        ■■■■■■⬚
        ■■■■■■■""",
    causal & (window(2) | sink(1)): """
        ■⬚⬚⬚⬚⬚⬚
        ■■⬚⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■⬚■■⬚⬚⬚
        ■⬚⬚■■⬚⬚
        ■⬚⬚⬚■■⬚
        ■⬚⬚⬚⬚■■""",
    same_block(3): """
        ■■■⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ⬚⬚⬚■■■⬚
        ⬚⬚⬚■■■⬚
        ⬚⬚⬚■■■⬚
        ⬚⬚⬚⬚⬚⬚■""",
    block_causal(3): """
        ■■■⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ■■■■■■⬚
        ■■■■■■⬚
        ■■■■■■⬚
        ■■■■■■■""",
    coarse(causal & window(2), 2): """
        ■■⬚⬚⬚⬚⬚
        ■■⬚⬚⬚⬚⬚
        ■■■■⬚⬚⬚
        ■■■■⬚⬚⬚
        ⬚⬚■■■■⬚
        ⬚⬚■■■■⬚
        ⬚⬚⬚⬚■■■""",
    coarse(strided(2), 3, 1): """
        ■■■⬚⬚⬚■
        ⬚⬚⬚■■■⬚
        ■■■⬚⬚⬚■
        ⬚⬚⬚■■■⬚
        ■■■⬚⬚⬚■
        ⬚⬚⬚■■■⬚
        ■■■⬚⬚⬚■""",
    document([0, 0, 0, 1, 1, 0, 2]): """
        ■■■⬚⬚■⬚
        ■■■⬚⬚■⬚
        ■■■⬚⬚■⬚
        ⬚⬚⬚■■⬚⬚
        ⬚⬚⬚■■⬚⬚
        ■■■⬚⬚■⬚
        ⬚⬚⬚⬚⬚⬚■""",
    causal & document([4, 4, 4, 7, 7, 9, 9]): """
        ■⬚⬚⬚⬚⬚⬚
        ■■⬚⬚⬚⬚⬚
        ■■■⬚⬚⬚⬚
        ⬚⬚⬚■⬚⬚⬚
        ⬚⬚⬚■■⬚⬚
        ⬚⬚⬚⬚⬚■⬚
        ⬚⬚⬚⬚⬚■■""",
    padding(5): 7
    * """
        ■■■■■⬚⬚""",
    explicit(array(LETTER)): LETTER,
    Mask(lambda i, j: (i + j) % 3 == 1): """
        ⬚■⬚⬚■⬚⬚
        ■⬚⬚■⬚⬚■
        ⬚⬚■⬚⬚■⬚
        ⬚■⬚⬚■⬚⬚
        ■⬚⬚■⬚⬚■
        ⬚⬚■⬚⬚■⬚
        ⬚■⬚⬚■⬚⬚""",
    causal.shift(2): """
        ■■■⬚⬚⬚⬚
        ■■■■⬚⬚⬚
        ■■■■■⬚⬚
        ■■■■■■⬚
        ■■■■■■■
        ■■■■■■■
        ■■■■■■■""",
}

# Two queries and five keys: the queries are positions 3 and 4. Three and seven: positions 4, 5 and 6.
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
    causal & (window(2) | sink(1)): """
        ■⬚⬚■■⬚⬚
        ■⬚⬚⬚■■⬚
        ■⬚⬚⬚⬚■■""",
    block_causal(3): """
        ■■■■■■⬚
        ■■■■■■⬚
        ■■■■■■■""",
    document([0, 0, 0, 1, 1, 0, 2]): """
        ⬚⬚⬚■■⬚⬚
        ■■■⬚⬚■⬚
        ⬚⬚⬚⬚⬚⬚■""",
    explicit(array(LAST_ROWS)): LAST_ROWS,
}


def drawing(dense):
    return "\n".join("".join("■" if may else "⬚" for may in row) for row in dense)


def lines(table):
    return "\n".join(line.strip() for line in table.strip().splitlines())


@pytest.mark.parametrize("mask", SQUARES, ids=named)
def test_square_table(mask):
    table = lines(SQUARES[mask])
    n = len(table.splitlines())
    assert drawing(mask.dense(n)) == table
    assert mask.show(n) == table


@pytest.mark.parametrize("mask", RECTANGLES, ids=named)
def test_fewer_queries_than_keys_are_the_last_positions(mask):
    rows = lines(RECTANGLES[mask]).splitlines()
    n_q, n_k = len(rows), len(rows[0])
    assert drawing(mask.dense(n_q, n_k)) == mask.show(n_q, n_k) == "\n".join(rows)


@pytest.mark.parametrize("w", [1, 2, 3, 5, 8, 9])
def test_a_causal_window_reads_w_keys_or_all_there_are(w):
    counts = (causal & window(w)).dense(8).sum(axis=1)
    assert counts.tolist() == [min(i + 1, w) for i in range(8)]


@pytest.mark.parametrize("n", [1, 5, 12])
def test_the_number_of_allowed_pairs_is_what_the_formulas_of_the_book_say(n):
    def pairs(mask):
        return mask.dense(n).sum()

    assert pairs(causal) == n * (n + 1) // 2
    for w in range(1, n + 1):
        assert pairs(causal & window(w)) == n * w - w * (w - 1) // 2
    for s in ({0}, {0, 1, 4}, {0, 3, n, n + 2}):
        assert pairs(offsets(s)) == sum(max(n - distance, 0) for distance in s)
    for b in (b for b in range(1, n + 1) if n % b == 0):
        assert pairs(block_causal(b)) == n * (n + b) // 2
        assert pairs(causal & same_block(b)) == n * (b + 1) // 2


@pytest.mark.parametrize("b", [1, 2, 3, 5, 13])
@pytest.mark.parametrize("n", [1, 6, 11])
def test_how_many_future_keys_a_block_mask_shows(n, b):
    whole, rest = divmod(n, b)
    leaks = (block_causal(b) & ~causal).dense(n).sum()
    assert leaks == whole * b * (b - 1) // 2 + rest * (rest - 1) // 2


@pytest.mark.parametrize("w", [1, 2, 5])
def test_a_causal_window_is_a_local_mask_that_looks_back_only(w):
    np.testing.assert_array_equal(
        (causal & window(w)).dense(9), local(w - 1, 0).dense(9)
    )


@given(masks, lengths())
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


def test_tables_of_no_token():
    assert document([]).dense(0).shape == explicit([]).dense(0).shape == (0, 0)
    assert document([[], []]).dense(0).shape == (2, 0, 0)
    assert padding([]).dense(2).shape == (0, 2, 2)
    assert explicit([[], [], []]).dense(3, 0).shape == (3, 0)


UNORDERED = [
    (full, oracle.full),
    (padding(2), oracle.prefix(2)),
    (explicit(ROWS), oracle.explicit(ROWS)),
    (
        ~(full & padding(1)) | ~explicit(ROWS),
        lambda i, j: j >= 1 or not ROWS[i][j],
    ),
    (coarse(padding(1), 2).shift(4), oracle.prefix(2)),
]


@pytest.mark.parametrize(("mask", "rule"), UNORDERED, ids=named)
def test_more_queries_than_keys_where_order_does_not_matter(mask, rule):
    for n in ((5, 3), (3, 0), (2, 1)):
        np.testing.assert_array_equal(
            mask.dense(*n), oracle.dense(rule, *n), strict=True
        )


def test_more_queries_than_keys_for_each_row_of_a_batch():
    rows = [[True, False, False], [True, True, True]]
    assert padding([1, 3]).dense(5, 3).tolist() == [[row] * 5 for row in rows]


def test_a_tall_array_is_a_mask_of_more_queries_than_keys():
    tall = np.array([[1, 0], [0, 1], [0, 0], [1, 1]], dtype=bool)
    np.testing.assert_array_equal(explicit(tall).dense(4, 2), tall)


def test_allowed_gives_a_tensor_of_its_own():
    i, j = torch.arange(3)[:, None], torch.arange(3)
    allowed = prefix(1).allowed(i, j)
    allowed[0] = False
    assert allowed.tolist() == [[False] * 3] + [[True, False, False]] * 2


@pytest.mark.parametrize(("i", "j"), [(5, 0), (0, 5)])
def test_ids_are_wanted_for_the_query_and_for_the_key(i, j):
    with pytest.raises(ValueError, match="document: its table has 3 positions"):
        document([0, 0, 1]).allowed(i, j)


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
SAMPLES = [mask for mask, _ in NAMED + BATCHED] + [
    ~causal,
    ~(causal & window(2)) | ~full,
    causal & padding([2, 9, 0]) | document(IDS),
]


@pytest.mark.parametrize("j_kind", KINDS)
@pytest.mark.parametrize("i_kind", KINDS)
def test_index_arrays_broadcast_and_agree_with_dense(i_kind, j_kind):
    i, j = KINDS[i_kind](6)[:, None], KINDS[j_kind](6)[None, :]
    for mask in SAMPLES:
        allowed = mask.allowed(i, j)
        if "torch" in i_kind + j_kind:
            assert allowed.dtype == torch.bool
            allowed = allowed.numpy()
        np.testing.assert_array_equal(
            allowed, mask.dense(6), err_msg=repr(mask), strict=True
        )


@pytest.mark.parametrize("mask", SAMPLES, ids=named)
def test_an_index_array_meets_an_int(mask):
    dense = mask.dense(6)
    np.testing.assert_array_equal(mask.allowed(4, np.arange(6)), dense[..., 4, :])
    np.testing.assert_array_equal(mask.allowed(np.arange(6), 2), dense[..., :, 2])
    np.testing.assert_array_equal(
        mask.allowed(4, torch.arange(6)).numpy(), dense[..., 4, :]
    )
    np.testing.assert_array_equal(
        mask.allowed(torch.arange(6), np.int64(2)).numpy(), dense[..., :, 2]
    )
    np.testing.assert_array_equal(mask.allowed(4, [0, 1, 2]), dense[..., 4, :3])
    np.testing.assert_array_equal(mask.allowed(4, 2), dense[..., 4, 2])


@pytest.mark.parametrize("arange", [np.arange, torch.arange])
@pytest.mark.parametrize("mask", SAMPLES, ids=named)
def test_positions_of_other_shapes_broadcast(mask, arange):
    dense = mask.dense(6)
    flat = mask.allowed(arange(6)[:, None], arange(6))
    np.testing.assert_array_equal(flat, dense)
    pairs = mask.allowed(arange(6), arange(6))
    np.testing.assert_array_equal(pairs, np.diagonal(dense, axis1=-2, axis2=-1))
    deep = mask.allowed(arange(6).reshape(2, 3, 1, 1), arange(6).reshape(3, 2))
    np.testing.assert_array_equal(deep, dense.reshape(*dense.shape[:-2], 2, 3, 3, 2))


@pytest.mark.parametrize("mask", SAMPLES, ids=named)
def test_the_device_of_the_positions_is_kept(mask):
    nowhere = torch.arange(4, device="meta")
    assert mask.read(nowhere[:, None], nowhere[None, :]).device.type == "meta"


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


# --- attention with masks of a batch --------------------------------------------------------------

MIXED = [mask for mask, _ in BATCHED] + [
    causal & document(IDS) & padding([2, 9, 0]),
    block_causal(2) & ~padding([2, 9, 0]) | sink(1),
]


@pytest.mark.parametrize("n", [(6, 6), (2, 6), (1, 1), (0, 3)])
@pytest.mark.parametrize("mask", MIXED, ids=["ids", "lengths", "tables", "and", "or"])
def test_each_row_of_a_batch_has_its_mask_in_all_heads(mask, n):
    random = np.random.default_rng(5)
    q = random.normal(size=(BATCH, 2, n[0], 4))
    k = random.normal(size=(BATCH, 2, n[1], 4))
    v = random.normal(size=(BATCH, 2, n[1], 3))
    expected = oracle.attention(q, k, v, mask.dense(*n)[:, None])
    np.testing.assert_allclose(numpy_attention.attention(q, k, v, mask), expected)
    for backend in ("dense", "sdpa"):
        output = torch_attention.attention(
            *map(torch.tensor, (q, k, v)), mask, backend=backend
        )
        np.testing.assert_allclose(output.numpy(), expected, atol=1e-12)


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


PAIRS = "booleans of shape (n_q, n_k) or (batch, n_q, n_k)"
ARGUMENTS = {
    "offsets without 0": (
        lambda: offsets({1, 4}),
        ValueError,
        ["offsets", "holds 0", "first row is empty", "{1, 4}"],
    ),
    "no offsets": (lambda: offsets([]), ValueError, ["offsets", "holds 0", "{}"]),
    "negative offset": (
        lambda: offsets({0, -2}),
        ValueError,
        ["offsets", "at least 0", "-2"],
    ),
    "half an offset": (
        lambda: offsets({0, 1.5}),
        TypeError,
        ["offsets", "integer", "1.5 (float)"],
    ),
    "one offset": (lambda: offsets(4), TypeError, ["offsets", "set of integers", "4"]),
    "text for offsets": (
        lambda: offsets("04"),
        TypeError,
        ["offsets", "set of integers", "'04'"],
    ),
    "local, left": (lambda: local(-1, 0), ValueError, ["left", "at least 0", "-1"]),
    "local, right": (lambda: local(0, -3), ValueError, ["right", "at least 0", "-3"]),
    "local, half": (lambda: local(0.5, 0), TypeError, ["left", "integer", "0.5"]),
    "local, bool": (lambda: local(0, True), TypeError, ["right", "integer", "True"]),
    "strided": (lambda: strided(0), ValueError, ["stride", "at least 1", "0"]),
    "strided, text": (lambda: strided("2"), TypeError, ["stride", "integer", "'2'"]),
    "every, period": (lambda: every(0), ValueError, ["period", "at least 1", "0"]),
    "every, remainder": (
        lambda: every(3, 3),
        ValueError,
        ["remainder", "less than the period 3", "got 3"],
    ),
    "every, negative": (
        lambda: every(3, -1),
        ValueError,
        ["remainder", "at least 0", "-1"],
    ),
    "every, half": (lambda: every(2.0), TypeError, ["period", "integer", "2.0"]),
    "prefix": (lambda: prefix(-1), ValueError, ["size", "at least 0", "-1"]),
    "sink": (lambda: sink(None), TypeError, ["size", "integer", "None"]),
    "same_block": (lambda: same_block(0), ValueError, ["size", "at least 1", "0"]),
    "block_causal": (lambda: block_causal(0), ValueError, ["size", "at least 1", "0"]),
    "coarse, size": (
        lambda: coarse(causal, -2),
        ValueError,
        ["size", "at least 1", "-2"],
    ),
    "coarse, query size": (
        lambda: coarse(causal, 2, 0),
        ValueError,
        ["query_size", "at least 1", "0"],
    ),
    "coarse, operand": (
        lambda: coarse(np.eye(2, dtype=bool), 2),
        TypeError,
        ["coarse:", "mask", "ndarray", "explicit(array)"],
    ),
    "shift back": (
        lambda: causal.shift(-1),
        ValueError,
        ["positions", "at least 0", "-1"],
    ),
    "half a shift": (
        lambda: causal.shift(0.5),
        TypeError,
        ["positions", "integer", "0.5"],
    ),
    "document, floats": (
        lambda: document([0.0, 1.0]),
        TypeError,
        ["document", "integers of shape (n,) or (batch, n)", "float64"],
    ),
    "document, booleans": (
        lambda: document(torch.tensor([True])),
        TypeError,
        ["document", "integers", "bool"],
    ),
    "document, words": (
        lambda: document(["a", "b"]),
        TypeError,
        ["document", "integers", "<U1"],
    ),
    "document, one number": (
        lambda: document(3),
        ValueError,
        ["document", "(n,) or (batch, n)", "shape ()"],
    ),
    "document, three axes": (
        lambda: document(np.zeros((2, 3, 4), dtype=int)),
        ValueError,
        ["document", "(n,) or (batch, n)", "(2, 3, 4)"],
    ),
    "document, ragged": (
        lambda: document([[0, 1], [0]]),
        ValueError,
        ["document", "(n,) or (batch, n)", "inhomogeneous"],
    ),
    "document, padding": (
        lambda: document([[0, 0, 1], [0, -1, -1]]),
        ValueError,
        ["document", "at least 0, got -1", "from_segment_ids(ids, padding=-1)"],
    ),
    "document, positions": (
        lambda: document([0, 1, 2, 0, 1]),
        ValueError,
        ["document", "0, 1, 2, 0, 1", "from_position_ids(ids)", "document(ids + 1)"],
    ),
    "document, positions of a batch": (
        lambda: document(torch.tensor([[0, 0, 0, 0], [0, 1, 2, 0]])),
        ValueError,
        ["document", "0, 1, 2, 0", "from_position_ids(ids)"],
    ),
    "document, positions from the middle of a text": (
        lambda: document([5, 6, 7, 0, 1, 2, 0]),
        ValueError,
        ["document", "from_position_ids(ids)"],
    ),
    "document, positions with a document of one token": (
        lambda: document([0, 0, 1, 0, 1, 2]),
        ValueError,
        ["document", "from_position_ids(ids)"],
    ),
    "padding, negative": (
        lambda: padding([3, -1]),
        ValueError,
        ["padding", "at least 0", "-1"],
    ),
    "padding, floats": (
        lambda: padding(np.array([1.0])),
        TypeError,
        ["padding", "one integer or integers of shape (batch,)", "float64"],
    ),
    "padding, bool": (lambda: padding(True), TypeError, ["padding", "integer", "bool"]),
    "padding, a mask of booleans": (
        lambda: padding([[1, 1, 0]]),
        ValueError,
        ["padding", "(batch,)", "(1, 3)"],
    ),
    "explicit, numbers": (
        lambda: explicit([[1, 0], [1, 1]]),
        TypeError,
        ["explicit", PAIRS, "int64", "mask == 1", "from_attention_mask"],
    ),
    "explicit, additive": (
        lambda: explicit(torch.zeros(2, 2)),
        TypeError,
        ["explicit", PAIRS, "float32", "from_additive"],
    ),
    "explicit, one axis": (
        lambda: explicit([True, False]),
        ValueError,
        ["explicit", PAIRS, "(2,)"],
    ),
    "explicit, four axes": (
        lambda: explicit(np.ones((1, 1, 2, 2), dtype=bool)),
        ValueError,
        ["explicit", PAIRS, "(1, 1, 2, 2)"],
    ),
    "show of a batch": (
        lambda: (causal & padding([1, 2])).show(3),
        ValueError,
        ["show", "without a batch", "2 rows", "padding([1, 2])"],
    ),
}


@pytest.mark.parametrize(
    "ids",
    [
        *([0, 0, 1, 1, 2], [5, 5, 3, 3], [0, 0, 0, 1, 2], [7], []),
        *([0, 1, 2, 3, 4], [1, 2, 0]),  # documents of one token each
        *([0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]),  # two that take turns
        *([1, 2, 3, 1, 2], [0, 2, 1, 0, 2], [0, 1, 2, 0, 2], [0, 1, 1, 2, 0]),
        [[0, 0, 1, 1], [0, 1, 2, 3]],
    ],
)
def test_documents_may_be_numbered_anyhow(ids):
    """What counts up, and begins again at 0, is a list of positions; all else are documents."""
    ids = np.array(ids, dtype=int)
    wanted = ids[..., :, None] == ids[..., None, :]
    np.testing.assert_array_equal(document(ids).dense(ids.shape[-1]), wanted)


NOT_MADE = {
    "window of a pair": (lambda: window(3, 0), ["window(size)", "local(left, right)"]),
    "nothing": (lambda: window(), ["window(size)", "'size'"]),
    "another name": (lambda: every(3, rest=1), ["every(period, remainder)", "'rest'"]),
    "offsets one by one": (lambda: offsets(0, 4), ["offsets(", "offsets({0, 4})"]),
    "a rule of nothing": (lambda: Mask(), ["Mask(", "'expression'"]),
    "causal()": (lambda: causal(), ["causal is a mask already", "dense(n)"]),
    "causal(8)": (lambda: causal(8), ["causal is a mask already", "without (8)"]),
    "full()": (lambda: full(), ["full is a mask already"]),
    "window(3)()": (lambda: window(3)(), ["window(3) is a mask already"]),
}


@pytest.mark.parametrize("case", NOT_MADE)
def test_a_mask_says_how_it_is_written(case):
    call, words = NOT_MADE[case]
    said = message(TypeError, call)
    assert all(word in said for word in words), said


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_mask_says_what_it_cannot_be_made_of(case):
    call, error, words = ARGUMENTS[case]
    said = message(error, call)
    assert all(word in said for word in words), said


WIDE = explicit(np.ones((3, 5), dtype=bool))
TOO_SHORT = {
    "document": (document([0, 0, 1]), 4, ["document", "3 positions", "0 to 3"]),
    "document of a batch": (
        causal | document([[0, 1], [1, 1]]),
        3,
        ["document", "2 positions", "0 to 2"],
    ),
    "rows": (
        explicit(np.ones((4, 3), dtype=bool)) & causal,
        5,
        ["explicit, queries", "4 positions", "0 to 4"],
    ),
    "columns": (
        coarse(explicit(np.ones((6, 3), dtype=bool)), 2),
        8,
        ["explicit, keys", "3 positions", "0 to 3"],
    ),
    "rows of queries, columns of blocks": (
        coarse(explicit(np.ones((8, 3), dtype=bool)), 2, 1),
        8,
        ["explicit, keys", "3 positions", "0 to 3"],
    ),
    "rows that are not there": (
        WIDE,
        5,
        ["explicit, queries", "3 positions, counted from 2", "0 to 4"],
    ),
    "shifted beyond": (WIDE.shift(3), 3, ["3 positions, counted from 2", "3 to 5"]),
}


@pytest.mark.parametrize("case", TOO_SHORT)
def test_a_table_that_is_too_short_is_named(case):
    mask, n, words = TOO_SHORT[case]
    x = torch.zeros(2, 1, n, 3)
    for use in (
        lambda: mask.dense(n),
        lambda: mask.allowed(np.arange(n)[:, None], np.arange(n)),
        lambda: mask.allowed(torch.arange(n)[:, None], torch.arange(n)),
        lambda: torch_attention.attention(x, x, x, mask),
    ):
        said = message(ValueError, use)
        assert all(word in said for word in words), said


def test_an_array_of_the_last_rows_is_read_where_it_has_rows():
    """Torch would count a negative row from the end, and answer for a pair that nobody described."""
    rows = np.array([[1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [1, 1, 0, 0, 0]], dtype=bool)
    for arange in (np.arange, torch.arange):
        allowed = explicit(rows).allowed(arange(2, 5)[:, None], arange(5))
        np.testing.assert_array_equal(allowed, rows)
    for i in (0, 1, torch.tensor(0), torch.tensor([4, 1])):
        said = message(ValueError, lambda i=i: explicit(rows).allowed(i, 0))
        assert "counted from 2" in said


@pytest.mark.parametrize(
    "mask",
    [
        *(offsets({0}), strided(2), every(2), local(1, 1), prefix(2), sink(2)),
        *(same_block(2), block_causal(2), document([0, 1, 1])),
        *(full & ~causal, padding(2) & causal, explicit([[True]]) | window(1)),
        *(Mask(lambda i, j: j < 2), coarse(causal, 2), causal.shift(1)),
    ],
    ids=named,
)
def test_more_queries_than_keys_are_refused_by_every_mask_of_order(mask):
    said = message(ValueError, lambda: mask.dense(3, 2))
    assert all(word in said for word in ("n_q=3", "n_k=2", repr(mask), "n_k >= n_q"))


def test_the_first_row_of_a_coarse_table_is_found_in_queries():
    """Rows 0 and 1 of the table are blocks 2 and 3 of queries, of 3 or of 1 query each."""
    last_rows = explicit(np.ones((2, 4), dtype=bool))
    for mask, first in ((coarse(last_rows, 3), 6), (coarse(last_rows, 3, 1), 2)):
        with pytest.raises(ValueError, match=rf"here mask\.shift\({first}\)"):
            mask(0, 0, 0, 0)
        assert mask.allowed(first, 0)
        with pytest.raises(ValueError, match="explicit, queries"):
            mask.allowed(first - 1, 0)


def test_a_mask_is_called_by_the_names_of_a_mask_mod_too():
    assert causal(b=0, h=0, q_idx=1, kv_idx=0)
    assert not causal(0, 0, q_idx=0, kv_idx=1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_numbers_to_add_are_sent_to_from_additive_in_any_dtype(dtype):
    numbers = torch.zeros(3, 3, dtype=dtype, requires_grad=True)
    with pytest.raises(TypeError, match=r"explicit: .*from_additive"):
        explicit(numbers)
