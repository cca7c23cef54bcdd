"""The executor that skips: pieces cut from a mask, against the dense back end, forward and backward.

What holds for every back end is in tests/test_attention.py. Here sequences are long enough to be cut, and every way
of cutting must occur.
"""

import math
import operator
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import many_examples, masks

from lib.engine import batched, compiled, compiler, cutting
from lib.engine.pieces import Diagonals, Strided, Tiles
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
from lib.readings.diagonals import OnDiagonal, along_diagonals, runs
from lib.torch_attention import attention

RANDOM = np.random.default_rng(5)
HYBRID = causal & (coarse(window(3), 16) | prefix(16) | coarse(every(4, 3), 16))
# A mask, and the kinds of pieces, a letter for each layer, that it must be cut into.
CUT = {
    "causal": (causal, "S"),
    "full": (full, "S"),
    "window": (causal & window(20), "S"),
    "window of one": (window(1), "D"),
    # Its first blocks of queries, at the end of the sequence, leave one key to be missed.
    "window of a block and two": (causal & window(130), "S"),
    "both ways": (window(33), "S"),
    "only the future": (~causal, "S"),
    "ring": (local(100, 0) & ~local(20, 0), "S"),
    "two bands": (causal & (window(20) | (local(90, 0) & ~local(60, 0))), "SS"),
    "strided": (causal & strided(3), "S"),
    "every other": (causal & strided(2), "S"),  # more keys than one chunk
    "strided without the window": (causal & strided(5) & ~window(17), "S"),
    "window and strided": (causal & (window(40) | strided(7)), "SS"),
    "window and offsets": (causal & (window(16) | offsets({0, 100, 170})), "SD"),
    "offsets": (offsets({0, 1, 2, 4, 8, 16, 32, 64, 128}), "D"),
    "offsets at regular distances from three": (offsets({0, *range(3, 143, 7)}), "D"),
    "far offset": (offsets({0, 10_000}), "D"),
    "two strides that meet": (
        offsets({*range(0, 61, 4), *range(60, 157, 6)}),
        "SS",
    ),
    "shifted": (causal.shift(3) & window(30).shift(3), "S"),
    "window and sink": (causal & (window(50) | sink(4)), "ST"),
    "narrow window and sink": (causal & (window(9) | sink(4)), "T"),
    "block": (causal & same_block(50), "T"),
    "block causal": (block_causal(16), "T"),
    "documents": (causal & document(np.arange(2000) // 37), "T"),
    "interleaved documents": (document(np.arange(2000) % 5 + 1), "T"),
    "prefix": (causal | prefix(70), "T"),
    "padding": (causal & padding(130), "T"),
    "array": (explicit(RANDOM.random((300, 300)) < 0.02), "T"),
    "hybrid": (HYBRID, "T"),
    "nothing": (causal & ~causal, ""),
    "no key": (sink(0), "T"),
}
every_cut = pytest.mark.parametrize("name", CUT)
# One block, exactly two tiles, odd lengths with a few and with many more keys, one query.
LENGTHS = [
    (1, 1),
    (20, 20),
    (128, 128),
    (203, 203),
    (130, 300),
    (64, 257),
    (1, 300),
    (64, 95),
]
LETTERS = {Strided: "S", Diagonals: "D", Tiles: "T"}


# The batched products come first: where a cut is wrong, they raise, while compiled loops may end the process.
@pytest.fixture(scope="module", params=["batched", "compiled"], autouse=True)
def loops(request):
    """Everything here holds of the compiled loops, and of the batched products that take their place."""
    if request.param == "compiled":
        if compiler.library(torch.float64) is None:
            pytest.skip(f"no C++ compiler: {compiler.compiler_name()} was not found")
        yield compiled
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "takes", lambda *_: False)
            yield batched


def problem(n_q, n_k, heads=2, key_heads=2, dtype=torch.float64, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        x = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return x.to(dtype).requires_grad_()

    q = numbers(heads, n_q, 6)
    q = (size * q).detach().requires_grad_()
    return q, numbers(key_heads, n_k, 6), numbers(key_heads, n_k, 5)


def with_gradients(q, k, v, mask, **options):
    """The output, and the gradients of a fixed random weighting of it."""
    output = attention(q, k, v, mask, **options)
    generator = torch.Generator().manual_seed(9)
    weight = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    return output, *torch.autograd.grad(output, (q, k, v), weight.to(output.dtype))


def cut(mask, n_q, n_k):
    return cutting.plan(mask, n_q, n_k, None, torch.device("cpu"))


@every_cut
def test_the_mask_is_cut_as_meant(name):
    mask, wanted = CUT[name]
    layers = cut(mask, 300, 300).layers
    kinds = [{type(piece) for piece in layer} for layer in layers]
    assert all(len(kind) <= 1 for kind in kinds)
    assert "".join(
        LETTERS[next(iter(kind))] for kind in kinds if kind
    ) == wanted.replace("T", "T" if mask != sink(0) else "")


@every_cut
@pytest.mark.parametrize(("n_q", "n_k"), LENGTHS)
def test_output_and_gradients_are_those_of_the_dense_back_end(name, n_q, n_k):
    mask, _ = CUT[name]
    q, k, v = problem(n_q, n_k)
    found = with_gradients(q, k, v, mask, backend="tiled")
    wanted = with_gradients(q, k, v, mask, backend="dense")
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", ["documents", "narrow window and sink", "array"])
def test_tiles_that_are_no_whole_number_of_blocks(name, monkeypatch):
    monkeypatch.setattr(cutting, "TILE", 40)  # 32 queries, and 8 more
    cutting.plan.cache_clear()
    q, k, v = problem(203, 203)
    found = with_gradients(q, k, v, CUT[name][0], backend="tiled")
    cutting.plan.cache_clear()
    wanted = with_gradients(q, k, v, CUT[name][0], backend="dense")
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


@many_examples
@given(mask=masks, n_k=st.integers(1, 25), short=st.integers(0, 24))
def test_any_expression_is_computed(mask, n_k, short):
    """Small blocks and tiles, so that short sequences are cut in every way.

    Tables of `masks` end at 40, and a mask may be shifted several times.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "BLOCK": 2, "END_BLOCK": 3, "ALIGNED": 3, "TILE": 4, "SHORTEST_BAND": 2, "MOST_DIAGONALS": 3,
            "SHORTEST_DIAGONAL": 2, "SCORES_AT_ONCE": {"cpu": 64, "cuda": 64},
        }.items():  # fmt: skip
            patch.setattr(cutting, name, value)
        cutting.plan.cache_clear()
        q, k, v = problem(max(n_k - short, 1), n_k)
        found = with_gradients(q, k, v, mask, backend="tiled")
    cutting.plan.cache_clear()
    wanted = with_gradients(q, k, v, mask, backend="dense")
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize(
    "mask",
    [
        causal & window(256),
        causal & (window(256) | strided(128)),
        causal & (window(256) | sink(4)),
        causal & same_block(256),
        causal & offsets({0, *(2**power for power in range(14))}),
        causal & (window(64) | offsets({0, 512, 4096})),
        causal & coarse(window(3) | sink(1) | every(16, 15), 128),
    ],
    ids=repr,
)
def test_many_pieces_of_their_usual_size(mask):
    """Some rows, and all gradients that they make, against their formula in float64."""
    n = 17_000
    q, k, v = problem(n, n, heads=1, key_heads=1)
    rows = torch.tensor(sorted({*range(0, n, 97), *range(n - 5, n)}))
    allowed = mask.read(rows[:, None], torch.arange(n)[None])
    scores = q[:, rows] @ k.mT / math.sqrt(q.shape[-1])
    wanted = scores.masked_fill(~allowed, -math.inf).softmax(-1) @ v
    found = attention(q, k, v, mask, backend="tiled")[:, rows]
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-10)
    slopes = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)
    for one, other in zip(
        torch.autograd.grad(found, (q, k, v), slopes),
        torch.autograd.grad(wanted, (q, k, v), slopes),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


def test_diagonals_that_a_piece_does_not_reach(monkeypatch):
    """Of three pieces the first reads one key for each query, the second two, the third all three."""
    monkeypatch.setattr(cutting, "SCORES_AT_ONCE", {"cpu": 64, "cuda": 64})
    monkeypatch.setattr(cutting, "SHORTEST_DIAGONAL", 32)
    cutting.plan.cache_clear()
    mask = causal & offsets({0, 32, 64})
    q, k, v = problem(96, 96)
    found = with_gradients(q, k, v, mask, backend="tiled")
    cutting.plan.cache_clear()
    wanted = with_gradients(q, k, v, mask, backend="dense")
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", ["window", "offsets", "hybrid"])
def test_the_gradient_of_the_output_may_lie_anyhow_in_memory(name):
    """That of a sum is one number for all; that of a transposed output lies across."""
    mask, _ = CUT[name]
    q, k, v = problem(128, 128)
    across = torch.linspace(-1, 1, 2 * 128 * 5, dtype=torch.float64).view(2, 5, 128)
    for weigh in (torch.sum, lambda output: (output.mT * across).sum()):
        found, wanted = (
            torch.autograd.grad(weigh(attention(q, k, v, mask, backend=x)), (q, k, v))
            for x in ("tiled", "dense")
        )
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize(
    "name", ["window", "window and strided", "window and offsets", "hybrid", "ring"]
)
def test_gradcheck(name):
    """Derivatives by finite differences, in float64, at a length that no block divides."""
    mask, _ = CUT[name]
    q, k, v = problem(75, 75, heads=1, key_heads=1)
    some = [x[..., :2].detach().requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: attention(q, k, v, mask, backend="tiled"), some, fast_mode=True
    )


def test_a_second_derivative_is_that_of_the_page():
    found = []
    for backend in ("tiled", "dense"):
        q, k, v = problem(40, 40)
        output = attention(q, k, v, causal & window(20), backend=backend)
        (slope,) = torch.autograd.grad(output.square().sum(), q, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), (q, k, v)))
    for ours, page in zip(*found, strict=True):
        torch.testing.assert_close(ours, page)


@every_cut
def test_what_comes_later_is_not_seen(name):
    """Bitwise: the past does not move when the tokens from position 100 on are others."""
    mask, _ = CUT[name]
    mask = causal & mask
    q, k, v = (x.detach() for x in problem(300, 300))
    before = attention(q, k, v, mask, backend="tiled")
    for x in (q, k, v):
        x[:, 100:] = 7 - 3 * x[:, 100:]
    after = attention(q, k, v, mask, backend="tiled")
    assert torch.equal(before[:, :100], after[:, :100])
    reads_nothing = name in ("nothing", "no key", "only the future")
    assert torch.equal(before, after) == reads_nothing


@pytest.mark.parametrize(
    "name", ["window", "window and offsets", "offsets", "window and sink", "documents"]
)
def test_nan_where_nothing_may_be_read_is_not_read(name):
    """Keys that no query of their tile's neighbourhood may read: here all keys far from the only allowed ones."""
    mask, _ = CUT[name]
    n = 1024
    q, k, v = (x.detach() for x in problem(n, n))
    clean = attention(q, k, v, mask, backend="tiled")
    tiles = mask.tiles(n, size=64).states
    last_rows = slice(n - 64, n)
    unread = np.flatnonzero(tiles[-1] == 0)
    assert len(unread) > 0
    for tile in unread:
        k[:, tile * 64 : tile * 64 + 64] = math.nan
        v[:, tile * 64 : tile * 64 + 64] = math.nan
    poisoned = attention(q, k, v, mask, backend="tiled")
    assert torch.equal(clean[:, last_rows], poisoned[:, last_rows])


@pytest.mark.parametrize(
    "name",
    [
        "window",
        "window and strided",
        "window and offsets",
        "offsets",
        "hybrid",
        "documents",
    ],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_error_is_no_larger_than_that_of_the_plain_computation(name, dtype):
    """Against float64, at most three times the error of the dense back end, forward and backward."""
    mask, _ = CUT[name]
    q, k, v = problem(300, 300, dtype=dtype, size=3)
    exact = with_gradients(
        *(x.detach().double().requires_grad_() for x in (q, k, v)),
        mask,
        backend="dense",
    )
    plain = with_gradients(q, k, v, mask, backend="dense")
    found = with_gradients(q, k, v, mask, backend="tiled")
    floor = {torch.float32: 2e-6}.get(dtype, torch.finfo(dtype).eps)
    for one, other, truth in zip(found, plain, exact, strict=True):
        assert one.dtype == dtype
        scale = truth.abs().max()
        allowed = max(3 * (other - truth).abs().max(), floor * scale)
        assert (one - truth).abs().max() <= allowed


@pytest.mark.parametrize("name", ["window", "window and strided", "offsets", "hybrid"])
@pytest.mark.parametrize("size", [0.0, 4e9, -4e9])
def test_extreme_scores(name, size):
    """Scores of ±4e9 or all equal: finite outputs and gradients, those of float64."""
    mask, _ = CUT[name]
    n = 200
    sign = torch.arange(n, dtype=torch.float32) % 7 - 3
    q = torch.full((1, n, 1), size, requires_grad=True)
    k = sign.reshape(1, n, 1).requires_grad_()
    v = torch.randn(
        1, n, 3, generator=torch.Generator().manual_seed(1)
    ).requires_grad_()
    found = with_gradients(q, k, v, mask, backend="tiled", scale=1.0)
    exact = with_gradients(
        *(x.detach().double().requires_grad_() for x in (q, k, v)),
        mask,
        backend="dense",
        scale=1.0,
    )
    for one, other in zip(found, exact, strict=True):
        assert one.isfinite().all()
        # Gradients for q are sums of k, those for k of q, of differences that cancel.
        scale = max(other.abs().max().item(), abs(size), 1)
        torch.testing.assert_close(
            one.double() / scale, other / scale, atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("name", ["window", "window and strided", "offsets", "hybrid"])
def test_scores_that_are_all_far_below_zero(name):
    """2^-3000 is 0 in any precision, but only what scores are among themselves counts."""
    mask, _ = CUT[name]
    q, k, v = problem(203, 203)
    constant = torch.full((2, 203, 1), 45.0, dtype=torch.float64)
    q, k = torch.cat([q, constant], -1), torch.cat([k, -constant], -1)
    found = with_gradients(q, k, v, mask, backend="tiled", scale=1)
    wanted = with_gradients(q, k, v, mask, backend="dense", scale=1)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-8)


def test_empty_rows_give_zeros_and_finite_gradients():
    mask = causal & ~window(40)  # the first forty queries have no key
    found = with_gradients(*problem(203, 203), mask, backend="tiled")
    assert (found[0][:, :40] == 0).all()
    assert (found[1][:, :40] == 0).all()
    assert all(x.isfinite().all() for x in found)


def test_autocast_does_not_reach_into_the_pieces():
    mask, _ = CUT["window and strided"]
    q, k, v = problem(90, 90, dtype=torch.float32)
    wanted = with_gradients(q, k, v, mask, backend="tiled")
    with torch.autocast("cpu", torch.bfloat16):
        found = with_gradients(q, k, v, mask, backend="tiled")
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)


def test_heads_share_keys():
    """Grouped-query heads, and heads that broadcast, against keys that are written out for each head."""
    mask = causal & window(40)
    q, k, v = problem(150, 150, heads=6, key_heads=2)
    written_out = with_gradients(
        q,
        *(x.detach().repeat_interleave(3, 0).requires_grad_() for x in (k, v)),
        mask,
        backend="dense",
    )
    for backend in ("dense", "sdpa", "tiled", "auto"):
        found = with_gradients(q, k, v, mask, backend=backend, enable_gqa=True)
        torch.testing.assert_close(found[0], written_out[0])
        torch.testing.assert_close(found[1], written_out[1])
        for shared, each in zip(found[2:], written_out[2:], strict=True):
            torch.testing.assert_close(shared, each.unflatten(0, (2, 3)).sum(1))
    found = attention(q[None], k[:1], v[:1], mask, backend="tiled")
    wanted = attention(
        q, *(x[:1].expand(6, -1, -1) for x in (k, v)), mask, backend="dense"
    )
    torch.testing.assert_close(found[0], wanted)


@pytest.mark.parametrize("backend", ["dense", "sdpa", "tiled"])
@pytest.mark.parametrize(
    "shape",
    [(9, 9), (1, 9), (1, 6, 9, 9), (1, 6, 1, 9), (1, 9, 9), (2, 6, 9, 9), (2, 1, 9, 9)],
)
def test_heads_share_keys_under_an_array(backend, shape):
    """A boolean array in the layout of q's heads, with enable_gqa."""
    allowed = torch.tensor(RANDOM.random(shape) < 0.5)
    q, k, v = (torch.randn(2, heads, 9, 4, dtype=torch.float64) for heads in (6, 3, 3))
    found = attention(q, k, v, allowed, backend=backend, enable_gqa=True)
    wanted = attention(
        q, *(x.repeat_interleave(2, 1) for x in (k, v)), allowed, backend="dense"
    )
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((5, 4), (5, 4), (5, 4)),
            r"q: with enable_gqa expected shape \(..., heads, tokens, features\), got \(5, 4\)",
        ),
        (((4, 5, 4), (3, 5, 4), (3, 5, 4)), "got 4, 3 and 3 heads"),
        (((4, 5, 4), (2, 5, 4), (4, 5, 4)), "got 4, 2 and 4 heads"),
        (((4, 5, 4), (0, 5, 4), (0, 5, 4)), "got 4, 0 and 0 heads"),
        (
            ((4, 5, 4), (2, 5, 3), (2, 5, 4)),
            r"features, got \(4, 5, 4\) and \(2, 5, 3\)",
        ),
    ],
)
def test_heads_that_do_not_divide_are_refused(shapes, message):
    q, k, v = (torch.randn(*shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        attention(q, k, v, causal, enable_gqa=True)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(3, 5, 5) > 0, r"mask: .* \(4, 5, 5\) .* got \(3, 5, 5\)"),
        (torch.ones(2, 5, 5) > 0, r"mask: .* \(4, 5, 5\) .* got \(2, 5, 5\)"),
        (padding([1, 2]), r"mask: .* of 2 rows .* got \(4, 5, 4\) and \(2, 5, 4\)"),
        (padding([1, 2, 3, 4]), r"mask: .* of 4 rows .*one row for each head"),
    ],
)
def test_masks_that_do_not_fit_shared_heads_are_refused(mask, message):
    """Two rows for two key heads would be taken for one row for each group of heads."""
    q, k = torch.randn(4, 5, 4), torch.randn(2, 5, 4)
    with pytest.raises(ValueError, match=message):
        attention(q, k, k, mask, enable_gqa=True)


def test_shared_heads_of_one_text_may_each_have_their_mask():
    allowed = torch.tensor(RANDOM.random((4, 9, 9)) < 0.5)
    q, k, v = (torch.randn(heads, 9, 4, dtype=torch.float64) for heads in (4, 2, 2))
    wanted = attention(
        q, *(x.repeat_interleave(2, 0) for x in (k, v)), allowed, backend="dense"
    )
    for backend in ("dense", "sdpa", "tiled"):
        found = attention(q, k, v, allowed, backend=backend, enable_gqa=True)
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("backend", ["dense", "sdpa", "tiled", "auto"])
def test_an_array_for_shared_heads_says_which_axes_it_is_for(backend):
    q, k = torch.randn(4, 4, 5, 3), torch.randn(4, 2, 5, 3)
    for array in (torch.ones(4, 5, 5) > 0, torch.ones(4, 1, 5) > 0):
        with pytest.raises(ValueError, match=r"mask: .*each head .*batch .*explicit"):
            attention(q, k, k, array, backend=backend, enable_gqa=True)


def test_a_batch_of_masks_stands_where_the_scores_have_their_batch():
    """Also where the values have more dimensions than the scores."""
    mask = causal & document(RANDOM.integers(0, 3, (3, 90)).cumsum(axis=1))
    q, k = (torch.randn(3, 2, 90, 4, dtype=torch.float64) for _ in range(2))
    v = torch.randn(4, 2, 3, 1, 90, 5, dtype=torch.float64)
    found = attention(q, k, v, mask, backend="tiled")
    torch.testing.assert_close(found, attention(q, k, v, mask, backend="dense"))
    for backend in ("dense", "tiled"):
        with pytest.raises(ValueError, match=r"broadcasts to \(2, 2, 90, 90\)"):
            attention(q[:2], k[:2], k[:2], mask, backend=backend)


def test_each_row_of_a_batch_has_its_own_pieces():
    """One row is a band, another needs tiles, which differ from those of the third."""
    mask = causal & padding([200, 70, 130])
    q, k, v = (x.repeat(3, 1, 1, 1) for x in problem(200, 200))
    found = attention(q, k, v, mask, backend="tiled")
    torch.testing.assert_close(found, attention(q, k, v, mask, backend="dense"))


def test_a_batch_of_one_mask_is_for_all():
    q, k, v = (torch.randn(3, 2, 90, 4, dtype=torch.float64) for _ in range(3))
    mask = causal & padding([50])
    found = attention(q, k, v, mask, backend="tiled")
    torch.testing.assert_close(found, attention(q, k, v, mask, backend="dense"))


@pytest.mark.parametrize("leading", [(), (1,), (1, 1), (3, 1)])
def test_rows_of_a_batch_may_share_their_keys(leading):
    mask = causal & padding([90, 30, 70])
    q = torch.randn(3, 2, 90, 4, dtype=torch.float64)
    k, v = (torch.randn(*leading, 90, 4, dtype=torch.float64) for _ in range(2))
    found = attention(q, k, v, mask, backend="tiled")
    torch.testing.assert_close(found, attention(q, k, v, mask, backend="dense"))


@pytest.mark.parametrize("name", ["window", "offsets", "documents"])
def test_features_may_lie_before_tokens_in_memory(name):
    mask, _ = CUT[name]
    q, k, v = (x.detach() for x in problem(128, 128))
    turned = (x.mT.contiguous().mT for x in (q, k, v))
    found = attention(*turned, mask, backend="tiled")
    torch.testing.assert_close(found, attention(q, k, v, mask, backend="dense"))


@every_cut
def test_all_pieces_stay_on_the_device_of_q(name):
    """Shapes alone, on the device "meta", where gathering by an index of the CPU is refused."""
    mask, _ = CUT[name]
    q, k, v = (x.detach().to("meta") for x in problem(203, 203))
    output = attention(q, k, v, mask, backend="tiled")
    assert (output.device.type, output.shape) == ("meta", (2, 203, 5))


@every_cut
def test_memory_that_nobody_has_written_is_not_read(name, monkeypatch):
    def new_nan(x, *shape, **options):
        return x.new_full(*shape, math.nan, **options)

    mask, _ = CUT[name]
    q, k, v = problem(203, 203)
    wanted = with_gradients(q, k, v, mask, backend="dense")
    monkeypatch.setattr(torch.Tensor, "new_empty", new_nan)
    found = with_gradients(q, k, v, mask, backend="tiled")
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


def test_no_number_is_added_to_at_two_places_at_once(monkeypatch):
    """One thread would add one after the other and be right; several, or a GPU, would lose sums."""
    band = Strided(3, 32, 1, 40, 32, 1, 71, -39, 0)
    addresses = torch.arange(200)[:, None]
    rows, written = Strided._rows, []

    def noting_where(piece, x, first, count):
        written.append(rows(piece, addresses, first, count))
        return rows(piece, x, first, count)

    monkeypatch.setattr(Strided, "_rows", noting_where)
    total = torch.zeros(200, 1)
    band.add_keys(total, torch.ones(3, 71, 1))
    assert total.sum() == 3 * 71
    for places in written:
        assert places.unique().numel() == places.numel()


def test_memory_stays_far_below_n_by_n():
    """131,072 tokens forward and backward: 16 GiB as booleans. Counted in NumPy; torch's is in the benchmarks."""
    n = 131_072
    mask = causal & (window(256) | sink(4))
    tracemalloc.start()
    cut(mask, n, n)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20


@many_examples
@given(mask=masks, n_k=st.integers(1, 30), short=st.integers(0, 29))
def test_what_is_said_of_diagonals_is_so(mask, n_k, short):
    """Never "none" of a diagonal with an allowed pair, never "all" of one with a forbidden pair."""
    n_q = max(n_k - short, 1)
    differences, truth = along_diagonals(mask, n_q, n_k)
    i, j = np.indices((n_q, n_k))
    difference = i + n_k - n_q - j
    dense = mask.dense(n_q, n_k)
    for number, may, must in zip(differences, truth.may, truth.must, strict=True):
        diagonal = dense[difference == number]
        assert diagonal.size > 0
        assert may or not diagonal.any()
        assert diagonal.all() or not must


COMPARISONS = [operator.lt, operator.le, operator.eq, operator.ge, operator.gt]


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("shift", [-2, 0, 3])
def test_positions_on_a_diagonal_are_compared_by_their_difference(compare, shift):
    differences = np.arange(-4, 5)
    first, last = np.maximum(0, differences), np.minimum(9, differences + 9)
    i = OnDiagonal(first, last, differences)
    j = OnDiagonal(first - differences, last - differences, -differences)
    for truth, wanted in (
        (compare(i + shift, j), compare(differences + shift, 0)),
        (compare(j, i - shift), compare(-differences + shift, 0)),
        (compare(i - i, shift), np.full(9, compare(0, shift))),
        (compare(i + 1, i + shift), np.full(9, compare(1, shift))),
    ):
        np.testing.assert_array_equal(truth.may, wanted)
        np.testing.assert_array_equal(truth.must, wanted)


def test_a_diagonal_begins_with_the_first_query():
    _, truth = along_diagonals(Mask(lambda i, j: i >= 15), 5, 20)
    assert truth.must.all()


@pytest.mark.parametrize(
    "mask",
    [full, causal, window(3), local(2, 1), offsets({0, 5}), strided(3), ~causal & window(2) | strided(4),
     causal.shift(2), causal & window(3) & ~offsets({0, 1}), Mask(lambda i, j: (j + 2 <= i) & (i - 7 < j))],
    ids=repr,
)  # fmt: skip
def test_masks_of_differences_are_known_by_their_diagonals(mask):
    _, truth = along_diagonals(mask, 20, 20)
    np.testing.assert_array_equal(truth.may, truth.must)
    i, j = np.indices((20, 20))
    np.testing.assert_array_equal(truth.must[i - j + 19], mask.dense(20))


@pytest.mark.parametrize(
    "mask",
    [prefix(3), every(3), same_block(3), block_causal(3), document([0, 1] * 10), padding(3),
     explicit(np.eye(20, dtype=bool)), causal & (window(3) | sink(1))],
    ids=lambda mask: repr(mask)[:30],
)  # fmt: skip
def test_masks_of_more_than_differences_are_not(mask):
    _, truth = along_diagonals(mask, 20, 20)
    assert (truth.may & ~truth.must).any()


def test_runs():
    allowed = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool)
    assert runs(allowed) == [(0, 1), (3, 3), (6, 8)]
    assert runs(np.zeros(4, bool)) == []
    assert runs(np.zeros(0, bool)) == []


def test_the_merge_of_rows_that_met_no_key():
    lowest = torch.finfo(torch.float32).min
    nothing = torch.zeros(1, 2, 3), torch.full((1, 2, 1), lowest), torch.zeros(1, 2, 1)
    something = torch.ones(1, 2, 3), torch.full((1, 2, 1), 5.0), torch.ones(1, 2, 1)
    mean, _, total = batched._merge(nothing, nothing)
    assert (mean == 0).all()
    assert (total == 0).all()
    for pair in ((nothing, something), (something, nothing)):
        mean, largest, total = batched._merge(*pair)
        assert (mean == 1).all()
        assert (largest == 5).all()
        assert (total == 1).all()
