"""Tile maps: sound for every mask, exact for the named ones, and never n × n cells."""

import itertools
import operator
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCHED,
    IDS,
    NAMED,
    batched_masks_with_rules,
    conditions,
    lengths,
    many_examples,
    masks,
)

from lib import tiles
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
from lib.readings.intervals import Interval, Truth
from lib.tiles import (
    EMPTY,
    FULL,
    PARTIAL,
    TileMap,
    density,
    n_pairs,
    receptive_field,
    tile_map,
)

# --- intervals ------------------------------------------------------------------------------------

SMALL = [(lo, hi) for lo in range(-4, 8) for hi in range(lo, 8)]


def interval(*ends):
    """One interval in each cell, or, of several pairs of ends, an array of intervals."""
    lo, hi = np.array(ends).T
    return Interval(lo, hi)


def assert_exact(truth, answers):
    """`answers`: for each interval the list of what the condition is at its members."""
    assert truth.may.tolist() == [any(answer) for answer in answers]
    assert truth.must.tolist() == [all(answer) for answer in answers]


def members(lo, hi):
    return range(lo, hi + 1)


COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq]


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("number", [-2, 0, 3, 7])
def test_an_interval_meets_a_number(compare, number):
    x = interval(*SMALL)
    wanted = [[compare(a, number) for a in members(*ends)] for ends in SMALL]
    assert_exact(compare(x, number), wanted)
    assert_exact(compare(x, np.full(len(SMALL), number)), wanted)
    turned = [[compare(number, a) for a in members(*ends)] for ends in SMALL]
    assert_exact(compare(number, x), turned)
    assert_exact(compare(np.full(len(SMALL), number), x), turned)
    assert_exact(~compare(x, number), [[not answer for answer in w] for w in wanted])


@pytest.mark.parametrize("compare", COMPARISONS)
def test_two_intervals_meet(compare):
    pairs = list(itertools.product(SMALL, SMALL[::3]))
    x, y = (interval(*ends) for ends in zip(*pairs, strict=True))
    wanted = [
        [compare(a, b) for a in members(*one) for b in members(*other)]
        for one, other in pairs
    ]
    assert_exact(compare(x, y), wanted)


ARITHMETIC = {
    "x + 3": lambda x: x + 3,
    "3 + x": lambda x: 3 + x,
    "x - 3": lambda x: x - 3,
    "3 - x": lambda x: 3 - x,
    "x // 3": lambda x: x // 3,
    "(x + 1) // 2 - 1": lambda x: (x + 1) // 2 - 1,
    "x % 1": lambda x: x % 1,
    "x % 3": lambda x: x % 3,
    "(2 - x) % 5": lambda x: (2 - x) % 5,
    "x % 13": lambda x: x % 13,
}


@pytest.mark.parametrize("text", ARITHMETIC)
@pytest.mark.parametrize("compare", COMPARISONS)
def test_arithmetic_with_numbers_is_exact(text, compare):
    function = ARITHMETIC[text]
    for number in range(-2, 6):
        wanted = [
            [compare(function(a), number) for a in members(*ends)] for ends in SMALL
        ]
        assert_exact(compare(function(interval(*SMALL)), number), wanted)
        assert_exact(
            compare(function(interval(*SMALL)), interval((number, number))), wanted
        )


def test_sums_and_differences_of_intervals():
    pairs = list(itertools.product(SMALL[::2], SMALL[::5]))
    x, y = (interval(*ends) for ends in zip(*pairs, strict=True))
    for combine in (operator.add, operator.sub):
        result = combine(x, y)
        for n, (one, other) in enumerate(pairs):
            all_values = {combine(a, b) for a in members(*one) for b in members(*other)}
            assert (result.lo[n], result.hi[n]) == (min(all_values), max(all_values))


def test_residues_that_wrap_meet_an_interval_in_between():
    residues = interval((4, 6), (4, 6), (4, 6)) % 5  # 4, 0, 1
    truth = residues == interval((2, 3), (1, 2), (3, 4))
    assert truth.may.tolist() == [False, True, True]
    assert truth.must.tolist() == [False, False, False]


def test_conditions_combine_in_three_valued_logic():
    # None of the pairs 0, some 1, all 2: then "and" is the smaller, "or" the larger of the two.
    one, other = np.repeat([0, 1, 2], 3), np.tile([0, 1, 2], 3)
    x, y = (Truth(state >= 1, state == 2) for state in (one, other))
    for truth, wanted in (
        (x & y, np.minimum(one, other)),
        (x | y, np.maximum(one, other)),
        (~x, 2 - one),
    ):
        np.testing.assert_array_equal(truth.may.astype(int) + truth.must, wanted)


def test_a_condition_on_a_tile_has_no_truth_value():
    with pytest.raises(TypeError, match=r"neither true nor false.*& \| ~"):
        bool(interval((0, 3)) < 2)


# --- tile maps: sound, exact, drawn by hand -------------------------------------------------------


def states_of(dense, size):
    """The states of the tiles of a boolean array, cut out one by one."""
    *batch, n_q, n_k = dense.shape
    states = np.empty((*batch, -(-n_q // size), -(-n_k // size)), np.int8)
    for *b, r, c in np.ndindex(states.shape):
        rows, columns = (slice(t * size, (t + 1) * size) for t in (r, c))
        tile = dense[(*b, rows, columns)]
        states[(*b, r, c)] = FULL if tile.all() else PARTIAL if tile.any() else EMPTY
    return states


def in_blocks_of_four(mask, n_q, n_k, size):
    """The tile map, made from blocks of 4 × 4 tiles: short sequences have several, and a ragged last one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "COARSER", 4)
        return mask.tiles(n_q, n_k, size)


def assert_sound(mask, n_q, n_k, size):
    result = in_blocks_of_four(mask, n_q, n_k, size)
    truth = states_of(mask.dense(n_q, n_k), size)
    assert (result.size, result.n_q, result.n_k) == (size, n_q, n_k)
    assert result.states.shape == truth.shape
    decided = result.states != PARTIAL
    np.testing.assert_array_equal(result.states[decided], truth[decided])


def assert_exact_map(mask, n_q, n_k, size):
    np.testing.assert_array_equal(
        in_blocks_of_four(mask, n_q, n_k, size).states,
        states_of(mask.dense(n_q, n_k), size),
        err_msg=f"{mask!r}, {n_q} × {n_k}, tiles of {size}",
        strict=True,
    )


sizes = st.sampled_from([1, 1, 2, 3, 5, 8, 30])


@given(masks, lengths(longest=24), sizes)
@many_examples
def test_no_tile_is_wrong_for_random_compositions(mask, n, size):
    assert_sound(mask, *n, size)


@given(conditions, masks, lengths(longest=24), sizes)
@many_examples
def test_no_tile_is_wrong_for_traced_rules(source, mask, n, size):
    traced = Mask(eval(f"lambda i, j: {source}"))
    assert_sound(traced, *n, size)
    assert_sound(mask & ~traced, *n, size)


@given(batched_masks_with_rules, lengths(longest=24), sizes)
@many_examples
def test_no_tile_is_wrong_for_batched_compositions(mask_with_rules, n, size):
    assert_sound(mask_with_rules[0], *n, size)


def named(mask):
    return repr(mask)[:60] if isinstance(mask, Mask) else "table"


SIZES = [
    (n_q, n_k, size)
    for n_q, n_k in [
        (0, 0),
        (0, 5),
        (1, 1),
        (1, 7),
        (4, 9),
        (24, 24),
        (5, 33),
        (33, 33),
    ]
    for size in (1, 2, 3, 5, 8, 40)
]
BLOCKS = np.kron(
    np.random.default_rng(3).integers(0, 2, (9, 9)), np.ones((4, 4), int)
).astype(bool)
MORE = [
    offsets({0, 1, 2, 3, 8, 9, 20}),
    offsets(set(range(12))),
    local(6, 3),
    window(9),
    same_block(8),
    block_causal(5),
    coarse(window(2), 3),
    explicit(BLOCKS),
    explicit(BLOCKS[:9, :33]),  # the last nine queries
    document(np.arange(40) // 7),
    document(np.arange(40) % 2 * 10**18),
    document(np.full(40, 2**63 - 1)),
]


@pytest.mark.parametrize(
    "mask", [mask for mask, _ in NAMED + BATCHED] + MORE, ids=named
)
def test_named_masks_are_exact(mask):
    for n_q, n_k, size in SIZES:
        if n_k - n_q >= mask.starts:
            assert_exact_map(mask, n_q, n_k, size)


READS_ITSELF = [full, causal, local(2, 3), strided(3), document(IDS), *MORE[:7]]


@pytest.mark.parametrize("mask", [*READS_ITSELF, prefix(5), padding(11)], ids=named)
def test_what_meets_causal_is_exact_where_each_query_reads_itself_or_a_prefix(mask):
    for n_q, n_k, size in SIZES:
        assert_exact_map(causal & mask, n_q, n_k, size)
        assert_exact_map(mask & causal, n_q, n_k, size)


def lines(drawing):
    return "\n".join(line.strip() for line in drawing.strip().splitlines())


# (n_q, n_k), the size of the tiles, the map.
MAPS = {
    full: ((5, 5), 2, """
        ■■■
        ■■■
        ■■■"""),
    causal: ((8, 8), 2, """
        ▨⬚⬚⬚
        ■▨⬚⬚
        ■■▨⬚
        ■■■▨"""),
    ~causal: ((6, 6), 2, """
        ▨■■
        ⬚▨■
        ⬚⬚▨"""),
    window(3): ((8, 8), 2, """
        ■▨⬚⬚
        ▨■▨⬚
        ⬚▨■▨
        ⬚⬚▨■"""),
    causal & window(4): ((12, 12), 3, """
        ▨⬚⬚⬚
        ▨▨⬚⬚
        ⬚▨▨⬚
        ⬚⬚▨▨"""),
    causal & ~window(3): ((10, 10), 2, """
        ⬚⬚⬚⬚⬚
        ▨⬚⬚⬚⬚
        ■▨⬚⬚⬚
        ■■▨⬚⬚
        ■■■▨⬚"""),
    # Distances 0 … 3 fill the tiles below the diagonal, whose distances are 1 … 3.
    offsets({0, 1, 2, 3, 8}): ((12, 12), 2, """
        ▨⬚⬚⬚⬚⬚
        ■▨⬚⬚⬚⬚
        ▨■▨⬚⬚⬚
        ⬚▨■▨⬚⬚
        ▨⬚▨■▨⬚
        ⬚▨⬚▨■▨"""),
    strided(4): ((12, 12), 2, """
        ▨⬚▨⬚▨⬚
        ⬚▨⬚▨⬚▨
        ▨⬚▨⬚▨⬚
        ⬚▨⬚▨⬚▨
        ▨⬚▨⬚▨⬚
        ⬚▨⬚▨⬚▨"""),
    every(4, 1): ((3, 12), 2, """
        ▨⬚▨⬚▨⬚
        ▨⬚▨⬚▨⬚"""),
    causal & (window(2) | sink(1)): ((12, 12), 2, """
        ▨⬚⬚⬚⬚⬚
        ▨▨⬚⬚⬚⬚
        ▨▨▨⬚⬚⬚
        ▨⬚▨▨⬚⬚
        ▨⬚⬚▨▨⬚
        ▨⬚⬚⬚▨▨"""),
    causal | prefix(5): ((10, 10), 2, """
        ■■▨⬚⬚
        ■■▨⬚⬚
        ■■▨⬚⬚
        ■■■▨⬚
        ■■■■▨"""),
    same_block(4): ((10, 10), 3, """
        ■▨⬚⬚
        ▨▨▨⬚
        ⬚▨▨▨
        ⬚⬚▨■"""),
    block_causal(3): ((9, 9), 2, """
        ■▨⬚⬚⬚
        ■▨▨⬚⬚
        ■■■⬚⬚
        ■■■■■
        ■■■■■"""),
    coarse(causal & window(2), 3): ((12, 12), 3, """
        ■⬚⬚⬚
        ■■⬚⬚
        ⬚■■⬚
        ⬚⬚■■"""),
    document([0, 0, 0, 1, 1, 0, 2, 2]): ((8, 8), 2, """
        ■▨▨⬚
        ▨▨▨⬚
        ▨▨▨⬚
        ⬚⬚⬚■"""),
    padding(5): ((2, 8), 2, "■■▨⬚"),
    # Three queries at positions 5, 6, 7: a tile of two, and a short one.
    Mask(lambda i, j: j + 1 < i): ((3, 8), 2, """
        ■■▨⬚
        ■■■⬚"""),
}  # fmt: skip


@pytest.mark.parametrize("mask", MAPS, ids=named)
def test_a_map_drawn_by_hand(mask):
    (n_q, n_k), size, drawing = MAPS[mask]
    assert mask.tiles(n_q, n_k, size).show() == lines(drawing)


def test_a_batch_has_a_map_for_each_row():
    result = (causal & padding([0, 3, 6])).tiles(6, size=2)
    drawings = [TileMap(states, 2, 6, 6).show() for states in result.states]
    wanted = ["⬚⬚⬚ ⬚⬚⬚ ⬚⬚⬚", "▨⬚⬚ ■▨⬚ ■▨⬚", "▨⬚⬚ ■▨⬚ ■■▨"]
    assert [drawing.split() for drawing in drawings] == [w.split() for w in wanted]


@pytest.mark.parametrize(
    "mask",
    [
        padding([0, 3, 6]),
        document([[0] * 6, [0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]]),
        explicit(
            np.tri(6, dtype=bool) ^ np.eye(3, dtype=bool)[:, :, None].repeat(2, 1)
        ),
    ],
    ids=["lengths", "ids", "tables"],
)
def test_one_row_of_a_batch_is_read_on_intervals_as_all_are(mask):
    positions = Interval(np.array([0, 2, 4]), np.array([1, 3, 5]))
    i, j = positions[:, None], positions[None, :]
    together = mask.read(i, j)
    assert (together.may != together.may[:1]).any()
    for b in range(3):
        alone = mask.read(i, j, b)
        shape = together.may[b].shape
        np.testing.assert_array_equal(
            np.broadcast_to(alone.may, shape), together.may[b]
        )
        np.testing.assert_array_equal(
            np.broadcast_to(alone.must, shape), together.must[b]
        )


def test_the_last_queries_have_the_last_rows_of_the_map():
    mask = causal & (window(6) | sink(2))
    np.testing.assert_array_equal(
        mask.tiles(8, 20, size=4).states, mask.tiles(20, size=4).states[3:]
    )


def test_more_queries_than_keys_where_order_does_not_matter():
    tall = np.kron(np.eye(4, 2), np.ones((3, 3))).astype(bool)
    for mask in (full, padding(4), explicit(tall)):
        assert_exact_map(mask, 12, 6, 4)


def test_where_a_map_is_not_exact_it_says_partial():
    # All pairs of the tile are allowed, by two masks together.
    assert (causal | ~causal).tiles(2, size=2).show() == "▨"
    # Queries 3, 4 may read the past and key 5, but key 5 lies in their future.
    assert (causal & every(6, 5)).tiles(2, 6, size=6).show() == "▨"
    assert (causal & ~causal).tiles(2, size=2).show() == "▨"


def test_a_map_knows_the_positions_of_its_tiles():
    result = causal.tiles(5, 12, size=4)
    assert list(zip(result.queries.lo, result.queries.hi, strict=True)) == [
        (7, 10),
        (11, 11),
    ]
    assert list(zip(result.keys.lo, result.keys.hi, strict=True)) == [
        (0, 3),
        (4, 7),
        (8, 11),
    ]
    tall = full.tiles(5, 2, size=4)
    assert list(zip(tall.queries.lo, tall.queries.hi, strict=True)) == [(0, 3), (4, 4)]


def test_the_usual_tile_has_128_queries_and_keys():
    result = causal.tiles(300)
    assert (result.size, result.n_q, result.n_k) == (128, 300, 300)
    assert result.show() == "▨⬚⬚\n■▨⬚\n■■▨"
    assert [result.count(state) for state in (EMPTY, PARTIAL, FULL)] == [3, 3, 3]
    assert tile_map(causal, 300).show() == result.show()


@pytest.mark.parametrize(
    "mask", [full, causal, padding([2, 3]), document([]), explicit([])], ids=named
)
def test_no_token_gives_no_tile(mask):
    batch = () if mask.batch is None else (mask.batch,)
    assert mask.tiles(0).states.shape == (*batch, 0, 0)
    if mask is not causal:
        assert mask.tiles(0, 0, size=1).states.dtype == np.int8


def test_a_long_mask_is_drawn_by_its_tiles():
    assert causal.show(64) == "\n".join(
        "■" * (i + 1) + "⬚" * (63 - i) for i in range(64)
    )
    key, *rows = causal.show(65).splitlines()
    assert key == "each sign is 2 × 2 pairs: ■ all may attend, ⬚ none, ▨ some"
    assert rows == causal.tiles(65, size=2).show().splitlines()
    assert len(causal.show(128).splitlines()) == 1 + 64
    assert causal.show(129).startswith("each sign is 4 × 4 pairs")
    assert causal.show(2, 4097).splitlines()[1] == 32 * "■" + "▨"


# --- memory ---------------------------------------------------------------------------------------

LONG = 131_072
MIB = 2**20


def peak_of(call):
    tracemalloc.start()
    try:
        result = call()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_map_needs_little_more_than_itself():
    mask = causal & (window(256) | offsets({0, 512, 4096}) | sink(4))
    result, peak = peak_of(lambda: mask.tiles(LONG))
    assert result.states.nbytes == MIB
    assert peak < 2.5 * MIB


@pytest.mark.parametrize(
    "ids",
    [np.arange(LONG) // 50, np.arange(LONG) % 300 + 1],
    ids=["packed", "interleaved"],
)
def test_many_documents_need_memory_for_each_token_and_not_for_each_pair(ids):
    _, peak = peak_of(lambda: document(ids).tiles(LONG, size=1024))
    assert peak < 100 * LONG  # bytes; the pairs are LONG times LONG


def test_a_table_is_summed_row_by_row():
    mask = explicit(np.random.default_rng(0).random((3000, 3000)) < 0.5)
    _, peak = peak_of(lambda: mask.tiles(3000))
    assert peak < MIB  # the table has 8.6 MiB


def test_counting_and_reaching_need_no_n_by_n_cells():
    mask = causal & (window(100) | strided(4096))
    count, peak = peak_of(lambda: n_pairs(mask, LONG))
    assert peak < 32 * MIB
    far = sum(LONG - distance for distance in range(4096, LONG, 4096))
    assert count == sum(LONG - distance for distance in range(100)) + far
    reached, peak = peak_of(lambda: receptive_field([mask, mask], LONG - 1))
    assert peak < 16 * MIB
    # 0 … 198 back, and 0 … 99 more than each of 31 strides.
    assert len(reached) == 199 + 31 * 100
    # The first row of tiles has 128 queries, and all its tiles are PARTIAL.
    wide = window(100) | strided(64)
    everything, peak = peak_of(lambda: receptive_field([wide, wide], 99, LONG))
    assert peak < 32 * MIB
    assert len(everything) == LONG


# --- counts ---------------------------------------------------------------------------------------


@given(masks, lengths(longest=24))
def test_pairs_are_counted_exactly(mask, n):
    dense = mask.dense(*n)
    assert n_pairs(mask, *n) == dense.sum()
    assert type(n_pairs(mask, *n)) is int
    assert density(mask, *n) == dense.sum() / max(dense.size, 1)


@given(batched_masks_with_rules, lengths(longest=24))
def test_pairs_are_counted_for_each_row_of_a_batch(mask_with_rules, n):
    mask, _ = mask_with_rules
    counts = mask.dense(*n).sum(axis=(1, 2))
    np.testing.assert_array_equal(n_pairs(mask, *n), counts, strict=True)
    np.testing.assert_allclose(density(mask, *n), counts / max(n[0] * n[1], 1))


LONGER = [
    causal & (window(70) | offsets({0, 128, 300}) | sink(4)),
    every(2),
    strided(7) | ~causal,
    document(np.arange(1200) // 90),
    explicit(np.random.default_rng(4).random((1000, 1000)) < 0.3),
    block_causal(96) & padding([1000, 130, 64]),
    Mask(lambda i, j: i % 3 == 1),
    Mask(lambda i, j: j < 200),
]


@pytest.mark.parametrize("mask", LONGER, ids=named)
@pytest.mark.parametrize("n", [(1000, 1000), (130, 1000)])
def test_pairs_of_many_tiles_are_counted_exactly(mask, n):
    np.testing.assert_array_equal(n_pairs(mask, *n), mask.dense(*n).sum(axis=(-2, -1)))


# --- receptive fields -----------------------------------------------------------------------------


def reach(layers, i):
    """Row i of (M_L ∨ I) ··· (M_1 ∨ I), as products of matrices of whole numbers."""
    row = np.eye(len(layers[0]), dtype=np.int64)[i]
    for allowed in reversed(layers):
        row = (row @ (allowed | np.eye(len(allowed), dtype=bool)) > 0).astype(np.int64)
    return np.flatnonzero(row)


@given(st.lists(masks, min_size=1, max_size=4), st.integers(1, 16), st.data())
def test_receptive_fields_are_boolean_products(layers, n, data):
    i = data.draw(st.integers(0, n - 1))
    dense = [mask.dense(n) for mask in layers]
    np.testing.assert_array_equal(receptive_field(layers, i, n), reach(dense, i))


@pytest.mark.parametrize(
    "mask", [mask for mask in LONGER if mask.batch is None], ids=named
)
@pytest.mark.parametrize("pairs", [1000, tiles.PAIRS])
def test_receptive_fields_across_many_tiles(mask, pairs, monkeypatch):
    monkeypatch.setattr(tiles, "PAIRS", pairs)
    n = 700
    layers = [mask, local(3, 1), mask]
    dense = [layer.dense(n) for layer in layers]
    for i in (0, 400, n - 1):
        np.testing.assert_array_equal(receptive_field(layers, i, n), reach(dense, i))


def test_without_layers_a_position_reaches_itself():
    assert receptive_field([], 3).tolist() == [3]
    assert receptive_field([], 0, 1).dtype == np.int64


def test_the_query_is_the_last_token_unless_there_are_more():
    assert receptive_field([full], 3).tolist() == [0, 1, 2, 3]
    assert receptive_field([full], 3, 6).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("w", "layers"), [(1, 3), (2, 5), (16, 8), (129, 4), (300, 2)])
def test_windows_reach_l_times_w_minus_one_back(w, layers):
    mask = causal & window(w)
    reached = receptive_field([mask] * layers, 5000)
    assert reached.tolist() == list(range(5000 - layers * (w - 1), 5001))


def test_mixed_windows_add_up():
    layers = [causal & window(w) for w in (3, 40, 7, 200)]
    assert len(receptive_field(layers, 999)) == 1 + 2 + 39 + 6 + 199


def test_offsets_reach_the_sums_of_their_distances():
    distances = {0, 3, 5, 50}
    sums = {0}
    for depth in range(1, 4):
        sums = {a + b for a in sums for b in distances}
        reached = receptive_field([offsets(distances)] * depth, 400)
        assert reached.tolist() == sorted(400 - s for s in sums)


def test_powers_of_two_reach_everything_at_the_largest_number_of_ones():
    mask = causal & offsets({0, *(2**k for k in range(8))})
    fields = [receptive_field([mask] * depth, 255) for depth in (7, 8)]
    assert [len(field) for field in fields] == [255, 256]


def test_look_ahead_grows_with_depth():
    for depth in range(1, 5):
        reached = receptive_field([local(0, 3)] * depth, 10, 40)
        assert reached.tolist() == list(range(10, 11 + 3 * depth))


def test_the_leak_of_a_block_mask_does_not_grow_with_depth():
    once = receptive_field([block_causal(8)], 9, 32).tolist()
    assert (
        once
        == receptive_field([block_causal(8)] * 5, 9, 32).tolist()
        == list(range(16))
    )


def test_the_first_layer_comes_first():
    # From position 6: back to its sink in the last layer, and from there nowhere; or one step, then the sink.
    step, first = offsets({0, 1}), causal & (sink(1) | window(1))
    assert receptive_field([first, step], 6).tolist() == [0, 5, 6]
    ahead = Mask(lambda i, j: (i == 0) & (j == 3))
    assert receptive_field([ahead, first], 6).tolist() == [0, 3, 6]
    assert receptive_field([first, ahead], 6).tolist() == [0, 6]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: causal.tiles(4, size=0), ValueError, "size: expected at least 1, got 0"),
        (lambda: causal.tiles(4, size=2.0), TypeError, "size: expected an integer, got 2.0"),
        (lambda: causal.tiles(-1), ValueError, "n_q: expected at least 0, got -1"),
        (lambda: causal.tiles(4, 3), ValueError, "n_q=4: more queries than the n_k=3"),
        (lambda: document([0, 1]).tiles(3), ValueError, "document: its table has 2 positions"),
        (lambda: explicit([[True]]).tiles(2), ValueError, "explicit, queries: its table has 1"),
        (lambda: tile_map(np.ones((2, 2), bool), 2), TypeError, r"got ndarray.*explicit\(array\)"),
        (lambda: tile_map(window, 2), TypeError, r"mask: expected a mask, got type; .* takes arguments: window\(…\)"),
        (lambda: receptive_field(3, 4), TypeError, "masks: expected a list of masks, .* got 3"),
        (lambda: n_pairs([causal], 2), TypeError, "mask: expected a mask, got list"),
        (lambda: n_pairs(causal, 2, 1), ValueError, "n_q=2: more queries"),
        (lambda: density(None, 2), TypeError, "mask: expected a mask, got NoneType"),
        (lambda: padding([1, 2]).tiles(4).show(), ValueError, "show: expected a tile map without .* of 2"),
        (lambda: padding([1, 2]).show(400), ValueError, "show: expected a mask without a batch"),
        (lambda: receptive_field([causal], -1), ValueError, "i: expected at least 0, got -1"),
        (lambda: receptive_field([causal], 1.0), TypeError, "i: expected an integer, got 1.0"),
        (lambda: receptive_field([causal], 4, 4), ValueError, "n: expected at least 5, got 4"),
        (lambda: receptive_field(causal, 4), TypeError, r"masks: expected a list .* \[causal\]"),
        (lambda: receptive_field([causal, None], 4), TypeError, "masks: expected a mask, got NoneType"),
        (lambda: receptive_field([padding([1, 2])], 4), ValueError, "masks: .* without a batch, got one of 2"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
