"""The back ends on a GPU, forward and backward, in every dtype; skipped where there is none.

    python -m pytest tests/gpu

The rule for errors is FlashAttention's: the truth is dense attention in float64, on the CPU, and a back end may be
three times as far from it as the textbook's formula is when it is computed on the GPU in the dtype of the input.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from lib.decoding import KVCache
from lib.masks import (
    Mask,
    causal,
    coarse,
    document,
    every,
    explicit,
    full,
    offsets,
    padding,
    prefix,
    same_block,
    sink,
    strided,
    window,
)
from lib.models import LongAttention, long_stack
from lib.receipts import recorder
from lib.torch_attention import attention, choose_backend

if not torch.cuda.is_available():
    pytest.skip(
        "no GPU that PyTorch can use: torch.cuda.is_available() is False",
        allow_module_level=True,
    )

BATCH, HEADS, D = 3, 4, 32
ALLOWANCE = 3
# Where the textbook's formula happens to be exact, a back end may still round.
FLOOR = {
    torch.float64: 1e-13,
    torch.float32: 2e-6,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
}
HALF = (torch.float16, torch.bfloat16)
backends = pytest.mark.parametrize(
    "backend", ["dense", "sdpa", "tiled", "flex", "auto"]
)
# FlexAttention compiles for some seconds for each mask, shape and dtype, so it runs through all masks in one dtype.
runs = pytest.mark.parametrize(
    ("backend", "dtype"),
    [
        *((b, d) for b in ("dense", "sdpa", "tiled", "auto") for d in FLOOR),
        ("flex", torch.bfloat16),
    ],
    ids=str,
)

RANDOM = np.random.default_rng(0)
N = 300  # no multiple of a tile
# One mask, or more, for each way of cutting the work, for each kind of table, and with rows that read nothing.
MASKS = {
    "full": full,
    "causal": causal,
    "band": causal & window(100),
    "residues": causal & (window(20) | strided(9)),
    "diagonals": causal & offsets({0, 1, 7, 64, 200}),
    "tiles": causal & (window(50) | sink(4)),
    "blocks": causal & (coarse(window(2) | sink(1) | every(2, 1), 64)),
    "documents": causal & document(np.arange(N) // 37),
    "array": explicit(RANDOM.random((N, N)) < 0.3),
    "prefix": causal | prefix(70),
    "batch of lengths": padding([40, N, 0]),
    "batch of documents": causal & document(RANDOM.integers(0, 3, (BATCH, N))),
    "batch of arrays": explicit(RANDOM.random((BATCH, N, N)) < 0.1),
    "empty rows": causal & ~window(130),
    "nothing": causal & ~causal,
}
every_mask = pytest.mark.parametrize("name", MASKS)


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda")


def problem(device, dtype, n_q=N, n_k=N, key_heads=HEADS, size=1.0):
    """q, k, v and the gradient of the output, drawn on the CPU and rounded to the dtype."""
    generator = torch.Generator().manual_seed(0)
    shapes = (HEADS, n_q, D), (key_heads, n_k, D), (key_heads, n_k, D), (HEADS, n_q, D)
    q, k, v, g = (torch.randn(BATCH, *s, generator=generator) for s in shapes)
    q, k, v, g = (x.to(device, dtype) for x in (size * q, k, v, g))
    return [x.requires_grad_() for x in (q, k, v)], g


def with_gradients(function, qkv, g):
    output = function(*qkv)
    return output, *torch.autograd.grad(output, qkv, g)


def textbook(q, k, v, allowed):
    """softmax(q kᵀ / √d) v in the dtype of the input; rows that may read nothing give zeros."""
    empty = ~allowed.any(-1, keepdim=True)
    scores = (q @ k.mT / math.sqrt(D)).masked_fill(~(allowed | empty), -math.inf)
    return (scores.softmax(-1) @ v).masked_fill(empty, 0)


def pairs(mask, n_q, n_k, device):
    """The last rows of the square mask, as an array that NumPy made, with an axis for the heads."""
    allowed = torch.tensor(mask.dense(n_k)[..., n_k - n_q :, :], device=device)
    return allowed if mask.batch is None else allowed[:, None]


def assert_as_good_as_the_textbook(found, qkv, g, mask):
    n_q, n_k = qkv[0].shape[-2], qkv[1].shape[-2]
    plain = with_gradients(
        lambda *qkv: textbook(*qkv, pairs(mask, n_q, n_k, g.device)), qkv, g
    )
    exact_qkv = [x.detach().cpu().double().requires_grad_() for x in qkv]
    exact = with_gradients(
        lambda *qkv: textbook(*qkv, pairs(mask, n_q, n_k, "cpu")),
        exact_qkv,
        g.cpu().double(),
    )
    for name, one, other, truth in zip(
        ("output", "dq", "dk", "dv"), found, plain, exact, strict=True
    ):
        assert one.dtype == g.dtype, name
        assert one.device == g.device, name
        error, of_textbook = (
            (x.detach().cpu().double() - truth).abs().max().item() for x in (one, other)
        )
        size = max(truth.abs().max().item(), 1)
        limit = ALLOWANCE * of_textbook + FLOOR[g.dtype] * size
        assert error <= limit, f"{name}: error {error:.2e}, the textbook's {of_textbook:.2e}"  # fmt: skip


# --- every back end, dtype and kind of mask -----------------------------------------------------------


def check(device, backend, dtype, mask, n_q=N, n_k=N):
    qkv, g = problem(device, dtype, n_q, n_k)
    found = with_gradients(lambda *qkv: attention(*qkv, mask, backend=backend), qkv, g)
    assert_as_good_as_the_textbook(found, qkv, g, mask)


@runs
@every_mask
def test_output_and_gradients_are_as_good_as_the_textbooks(
    device, backend, dtype, name
):
    mask = MASKS[name]
    qkv, g = problem(device, dtype)
    found = with_gradients(lambda *qkv: attention(*qkv, mask, backend=backend), qkv, g)
    assert_as_good_as_the_textbook(found, qkv, g, mask)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_flex_attention_in_the_other_dtypes(device, dtype):
    check(device, "flex", dtype, MASKS["tiles"])


@backends
@pytest.mark.parametrize(("n_q", "n_k"), [(1, N), (130, N), (64, 128)])
@pytest.mark.parametrize("name", ["band", "tiles", "diagonals", "empty rows"])
def test_queries_are_the_last_positions(device, backend, n_q, n_k, name):
    check(device, backend, torch.float32, MASKS[name], n_q, n_k)


@backends
@pytest.mark.parametrize("name", ["band", "tiles", "batch of documents"])
def test_query_heads_share_keys(device, backend, name):
    """Against keys and values that are written out for each query head."""
    mask = MASKS[name]
    qkv, g = problem(device, torch.float32, key_heads=2)
    shared = with_gradients(
        lambda *qkv: attention(*qkv, mask, backend=backend, enable_gqa=True), qkv, g
    )

    def written_out(q, k, v):
        k, v = (x.repeat_interleave(HEADS // 2, dim=1) for x in (k, v))
        return attention(q, k, v, mask, backend="dense")

    expected = with_gradients(written_out, qkv, g)
    for one, other in zip(shared, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


@backends
def test_a_boolean_tensor_is_a_mask(device, backend):
    qkv, g = problem(device, torch.float32)
    table = torch.tensor(RANDOM.random((BATCH, HEADS, N, N)) < 0.2, device=device)
    found = with_gradients(lambda *qkv: attention(*qkv, table, backend=backend), qkv, g)
    expected = with_gradients(lambda *qkv: textbook(*qkv, table), qkv, g)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


# --- what a GPU might do otherwise --------------------------------------------------------------------


@runs
@pytest.mark.parametrize("name", ["empty rows", "batch of lengths", "nothing"])
def test_empty_rows_give_zeros_and_gradient_zero(device, backend, dtype, name):
    mask = MASKS[name]
    qkv, g = problem(device, dtype)
    output, to_q, *others = with_gradients(
        lambda *qkv: attention(*qkv, mask, backend=backend), qkv, g
    )
    empty = ~pairs(mask, N, N, device).any(-1).expand(BATCH, HEADS, N)
    assert empty.any()
    assert (output[empty] == 0).all()
    assert (to_q[empty] == 0).all()
    assert all(x.isfinite().all() for x in (output, to_q, *others))


@runs
def test_the_future_moves_nothing(device, backend, dtype):
    mask = causal & (window(50) | sink(4))
    (q, k, v), _ = problem(device, dtype)
    late = torch.arange(N, device=device)[:, None] >= 170
    with torch.no_grad():
        before = attention(q, k, v, mask, backend=backend)
        changed = (torch.where(late, 9 * x + 1, x) for x in (q, k, v))
        after = attention(*changed, mask, backend=backend)
    assert torch.equal(before[..., :170, :], after[..., :170, :])
    assert (before[..., 170:, :] != after[..., 170:, :]).any(-1).all()


@backends
@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_large_scores_do_not_overflow(device, backend, dtype):
    """Scores of some tens of thousands, at the end of what float16 can hold: the largest takes all."""
    qkv, _ = problem(device, dtype, size=4000.0)
    with torch.no_grad():
        output = attention(*qkv, MASKS["band"], backend=backend)
    q, k, v = (x.detach().double() for x in qkv)
    expected = textbook(q, k, v, pairs(MASKS["band"], N, N, device))
    torch.testing.assert_close(output.double(), expected, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("backend", ["tiled", "flex"])
def test_tiles_that_are_empty_are_never_read(device, backend):
    """NaN in the keys and values of one block reaches only the queries that may read some of it."""
    mask = causal & same_block(128)
    qkv, _ = problem(device, torch.float32, 384, 384)
    q, k, v = (x.detach() for x in qkv)
    with torch.no_grad():
        clean = attention(q, k, v, mask, backend=backend)
        k[..., 128:256, :] = v[..., 128:256, :] = math.nan
        output = attention(q, k, v, mask, backend=backend)
    assert output[..., 128:256, :].isnan().all()
    for rows in (slice(0, 128), slice(256, 384)):
        assert torch.equal(output[..., rows, :], clean[..., rows, :])


def test_autocast_does_not_reach_into_the_tiles(device):
    qkv, g = problem(device, torch.float32)
    wanted = with_gradients(
        lambda *qkv: attention(*qkv, MASKS["residues"], backend="tiled"), qkv, g
    )
    with torch.autocast("cuda", torch.bfloat16):
        found = with_gradients(
            lambda *qkv: attention(*qkv, MASKS["residues"], backend="tiled"), qkv, g
        )
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_long_window_needs_no_square(device):
    """At n = 32,768 the scores of one head alone are 4 GiB; a pass forward and backward stays under 1 GiB."""
    n = 32_768
    qkv, g = problem(device, torch.float32, n, n)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with_gradients(
        lambda *qkv: attention(*qkv, causal & window(256), backend="tiled"), qkv, g
    )
    inputs = BATCH * HEADS * n * D * 4
    growth = torch.cuda.max_memory_allocated() - before
    assert growth < 6 * inputs + 2**30


def test_auto_takes_flex_where_it_can(device):
    pytest.importorskip("triton", reason="FlexAttention on a GPU needs triton")
    mask, n = causal & window(64), 2048
    assert choose_backend(mask, n, device=device).backend == "flex"
    assert choose_backend(mask, n, device=device, dtype=torch.float64).backend == "tiled"  # fmt: skip
    qkv, g = problem(device, torch.float32, n, n)
    found = with_gradients(lambda *qkv: attention(*qkv, mask), qkv, g)
    assert_as_good_as_the_textbook(found, qkv, g, mask)


# --- devices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["documents", "array", "batch of lengths", "blocks"])
def test_tables_become_tensors_where_the_positions_are(device, name):
    """On the GPU, on the CPU and on the GPU again, as one model may be moved."""
    mask: Mask = MASKS[name]
    for place in (device, torch.device("cpu"), device):
        i = torch.arange(N, device=place)
        allowed = mask.allowed(i[:, None], i)
        assert allowed.device.type == place.type
        np.testing.assert_array_equal(
            allowed.cpu().expand(mask.dense(N).shape), mask.dense(N)
        )


@backends
def test_tensors_on_two_devices_are_refused(device, backend):
    (q, k, v), _ = problem(device, torch.float32)
    with pytest.raises(ValueError, match=r"q and k: expected one device, got cuda:0 and cpu"):  # fmt: skip
        attention(q, k.cpu(), v, backend=backend)
    with pytest.raises(ValueError, match=r"q and v: expected one device, got cuda:0 and cpu"):  # fmt: skip
        attention(q, k, v.cpu(), backend=backend)
    table = torch.ones(N, N, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"mask: .* use mask\.to\(q\.device\)"):
        attention(q, k, v, table, backend=backend)


# --- decoding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOOR, ids=str)
@pytest.mark.parametrize("name", ["causal", "band", "tiles", "documents"])
def test_decoding_equals_the_whole_call(device, dtype, name):
    """A prefill in two chunks, then token by token."""
    mask = MASKS[name]
    (q, k, v), _ = problem(device, dtype)
    bounds = [0, 100, 290, *range(291, N + 1)]
    cache = KVCache(mask, longest=N if name == "documents" else None)
    with torch.no_grad():
        outputs = [
            cache.attend(*(x[..., start:stop, :] for x in (q, k, v)))
            for start, stop in pairwise(bounds)
        ]
        whole = attention(q, k, v, mask, backend="dense")
    output = torch.cat(outputs, dim=-2)
    assert output.device == q.device
    tolerance = ALLOWANCE * FLOOR[dtype]
    torch.testing.assert_close(output, whole, atol=tolerance, rtol=tolerance)
    if name == "band":
        assert cache.kept.tolist() == list(range(N - 99, N))


# --- what chapter 9 shows -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["tiled", "flex"])
def test_ink_reaches_the_last_token_and_never_runs_back(device, backend):
    """With scores of 0 nothing is overlooked: the three masks of `long_stack` at 16,384 tokens."""
    n = 16_384
    places = torch.arange(16, device=device) * 1000 + 300
    ink = torch.zeros(1, 1, n, 16, device=device)
    ink[0, 0, places, torch.arange(16, device=device)] = 1
    zeros = torch.zeros_like(ink)
    with torch.no_grad():
        for mask in long_stack():
            ink = ink + attention(zeros, zeros, ink, mask, backend=backend)
    reached = ink[0, 0] > 0
    assert reached[-1].all()
    assert torch.equal(reached.int().argmax(dim=0), places)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_a_layer_for_long_texts_computes_the_same_with_every_back_end(device, dtype):
    layer = LongAttention(64, 4, causal & window(100), kv_heads=2).to(device, dtype)
    x = torch.randn(2, 1024, 64, generator=torch.Generator().manual_seed(0))
    outputs = {}
    for backend in ("dense", "sdpa", "tiled", "flex"):
        layer.backend = backend
        outputs[backend] = layer(x.to(device, dtype)).detach().float()
    for output in outputs.values():
        tolerance = ALLOWANCE * FLOOR[dtype]
        torch.testing.assert_close(output, outputs["dense"], atol=tolerance, rtol=1e-2)


def test_a_receipt_of_this_gpu_can_be_recorded(tmp_path):
    """At 512 tokens; nothing is written into the package."""
    receipt = recorder.record("cuda", lengths=(512,), heads=2)
    assert receipt.kind == "cuda"
    assert receipt.device == torch.cuda.get_device_name()
    rows = [row for row in receipt.rows if row.method in ("dense", "tiled")]
    assert {row.step for row in rows} == {"forward", "forward and backward"}
    assert all(row.seconds > 0 and row.peak > 0 for row in rows)
    recorder.write([receipt], tmp_path / "receipts.json")
    assert recorder.load(tmp_path / "receipts.json") == (receipt,)
