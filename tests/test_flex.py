"""FlexAttention: a mask as its mask_mod, block masks from tile maps, and the back ends "flex" and "auto"."""

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from strategies import BATCH, BATCHED, IDS, NAMED
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention.flex_attention import (
    create_block_mask,
    create_mask,
    flex_attention,
)

from lib import flex
from lib.engine import fused
from lib.masks import (
    Mask,
    causal,
    coarse,
    document,
    explicit,
    full,
    padding,
    sink,
    strided,
    window,
)
from lib.torch_attention import attention, choose_backend

MASKS = [mask for mask, _ in NAMED + BATCHED] + [
    causal & (window(3) | sink(1)),
    ~(causal & document(IDS)) | padding([2, 9, 0]),
]
every_mask = pytest.mark.parametrize("mask", MASKS, ids=lambda mask: repr(mask)[:40])
# Without torch.compile, FlexAttention says that it is slow.
eager = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


def tensors(mask, n_q, n_k):
    """q, k, v of two heads, with as many rows as the mask's batch."""
    torch.manual_seed(3)
    return (torch.randn(mask.batch or 2, 2, n, 16) for n in (n_q, n_k, n_k))


def sdpa(q, k, v, mask):
    """Attention with the mask as a dense array, made by NumPy alone."""
    allowed = torch.tensor(mask.dense(q.shape[-2], k.shape[-2]))
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed if mask.batch is None else allowed[:, None]
    )


@every_mask
@pytest.mark.parametrize(("n_q", "n_k"), [(12, 12), (5, 12), (1, 7)])
def test_every_pair_that_flex_sees_is_that_of_dense(mask, n_q, n_k):
    pairs = create_mask(mask.shift(n_k - n_q), mask.batch, None, n_q, n_k, device="cpu")
    wanted = mask.dense(n_q, n_k).reshape(mask.batch or 1, 1, n_q, n_k)
    np.testing.assert_array_equal(pairs.numpy(), wanted)


@every_mask
def test_the_block_mask_holds_the_blocks_of_dense(mask):
    blocks = create_block_mask(
        mask, mask.batch, None, 16, 16, device="cpu", BLOCK_SIZE=4
    )
    tiles = mask.dense(16).reshape(-1, 4, 4, 4, 4)  # batch, row, inside, column, inside
    np.testing.assert_array_equal(
        blocks.to_dense().numpy()[:, 0], tiles.any(axis=(2, 4))
    )
    full = [
        block_count(blocks.full_kv_num_blocks, blocks.full_kv_indices, b)
        for b in range(len(tiles))
    ]
    np.testing.assert_array_equal(full, tiles.all(axis=(2, 4)))


def block_count(numbers, indices, b):
    """Which tiles FlexAttention takes for full, as booleans (rows of tiles, columns of tiles)."""
    table = np.zeros(indices.shape[-2:], dtype=bool)
    for row, number in enumerate(numbers[b, 0].tolist()):
        table[row, indices[b, 0, row, :number].tolist()] = True
    return table


@eager
@every_mask
def test_flex_attention_equals_sdpa_with_the_dense_mask(mask):
    q, k, v = tensors(mask, 5, 12)
    blocks = create_block_mask(mask.shift(7), mask.batch, None, 5, 12, device="cpu")
    output = flex_attention(q, k, v, block_mask=blocks)
    torch.testing.assert_close(output, sdpa(q, k, v, mask), atol=1e-5, rtol=1e-5)


COMPILED = {
    "arithmetic": causal & (strided(3) | ~Mask(lambda i, j: (i - j) // 2 % 3 == 1)),
    "a table of a batch": causal
    & document([[0] * 20 + [1] * 28, [7] * 48, [*range(48)]]),
    "a table of pairs": explicit(
        np.random.default_rng(4).random((BATCH, 32, 48)) < 0.4
    ),
}


needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs g++, and it is not here"
)


@every_mask
@pytest.mark.parametrize(("n_q", "n_k"), [(16, 16), (5, 12), (9, 13)])
def test_the_block_mask_of_the_tile_map_leads_flex_attention_to_the_same(
    mask, n_q, n_k, monkeypatch
):
    """Blocks of 4, so that there are some of each state, and short ones at the ends."""
    monkeypatch.setattr(flex, "BLOCK", 4)
    blocks = flex.block_mask(mask, n_q, n_k)
    wanted = create_block_mask(
        mask.shift(n_k - n_q), mask.batch, None, n_q, n_k, device="cpu", BLOCK_SIZE=4
    )
    found = blocks.to_dense().bool()
    # Sound: no block that holds an allowed pair is left out, and none is full that holds a forbidden one.
    assert (found | ~wanted.to_dense().bool()).all()
    for b in range(len(found)):
        full_found = block_count(blocks.full_kv_num_blocks, blocks.full_kv_indices, b)
        full_wanted = block_count(wanted.full_kv_num_blocks, wanted.full_kv_indices, b)
        assert (full_wanted | ~full_found).all()


def test_the_block_mask_of_a_named_mask_is_that_of_create_block_mask():
    mask = causal & (window(300) | sink(4))
    blocks = flex.block_mask(mask, 1024)
    wanted = create_block_mask(mask, None, None, 1024, 1024, device="cpu")
    assert torch.equal(blocks.to_dense(), wanted.to_dense())
    assert torch.equal(blocks.full_kv_num_blocks, wanted.full_kv_num_blocks)


def test_the_block_mask_of_a_long_sequence_needs_no_n_by_n():
    """131,072 tokens: create_block_mask would ask about 16 GiB of pairs."""
    blocks = flex.block_mask(causal & window(256), 131_072)
    assert blocks.kv_num_blocks.sum() + blocks.full_kv_num_blocks.sum() == 3 * 1024 - 3


@needs_compiler
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning")
@pytest.mark.parametrize("name", COMPILED)
def test_the_back_end_flex_equals_the_dense_one(name):
    mask = COMPILED[name]
    torch.compiler.reset()
    q, k, v = tensors(mask, 32, 48)
    output = attention(q, k, v, mask, backend="flex")
    torch.testing.assert_close(
        output, attention(q, k, v, mask, backend="dense"), atol=1e-5, rtol=1e-5
    )


@needs_compiler
def test_the_back_end_flex_shares_keys_between_heads_and_scales():
    torch.compiler.reset()
    mask, options = causal & window(5), {"enable_gqa": True, "scale": 0.7}
    q, k, v = (torch.randn(heads, 20, 16, requires_grad=True) for heads in (4, 2, 2))
    with torch.no_grad():  # what the error for gradients advises
        found = attention(q, k, v, mask, backend="flex", **options)
    wanted = attention(q, k, v, mask, backend="dense", **options)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@needs_compiler
def test_too_many_masks_raise_and_do_not_run_uncompiled(monkeypatch):
    """Past its limit Dynamo would run FlexAttention without compiling it, with all n × n scores."""
    torch.compiler.reset()
    monkeypatch.setattr(flex, "MOST_COMPILATIONS", 1)
    # What a test above has compiled: PyTorch finds its machine code again.
    q, k, v = tensors(COMPILED["arithmetic"], 32, 48)
    attention(q, k, v, COMPILED["arithmetic"], backend="flex")
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        attention(q, k, v, causal & window(3), backend="flex")


def test_flex_says_what_to_use_where_it_has_no_backward_pass():
    q, k, v = (x.requires_grad_() for x in tensors(causal, 4, 4))
    with pytest.raises(
        RuntimeError, match=r"no backward pass on the CPU.*backend='tiled'"
    ):
        attention(q, k, v, causal, backend="flex")


def test_flex_says_what_to_use_in_float64():
    q, k, v = (x.double() for x in tensors(causal, 4, 4))
    with pytest.raises(RuntimeError, match=r"got torch\.float64.*backend='tiled'"):
        attention(q, k, v, causal, backend="flex")


@pytest.mark.parametrize("setting", ["PATH", "CXX"])
def test_flex_says_what_to_use_where_there_is_no_compiler(monkeypatch, setting):
    monkeypatch.setenv(setting, "nowhere")
    q, k, v = tensors(causal, 4, 4)
    with pytest.raises(
        RuntimeError, match=r"compiled with a C\+\+ compiler.*backend='tiled'"
    ):
        attention(q, k, v, causal, backend="flex")


class OutOfResources(Exception):
    """As Triton has it, which is not here: no RuntimeError."""


def test_flex_says_what_to_use_where_the_gpu_is_too_small(monkeypatch):
    def refuses(*arguments, **options):
        raise OutOfResources("out of resource: shared memory, Required: 81920")

    monkeypatch.setattr(flex, "_compiled", lambda: refuses)
    q, k, v = tensors(causal, 4, 4)
    with pytest.raises(RuntimeError, match=r"more fast memory.*backend='tiled'"):
        attention(q, k, v, causal, backend="flex")

    def fails(*arguments, **options):
        raise OutOfResources("another problem")

    monkeypatch.setattr(flex, "_compiled", lambda: fails)
    with pytest.raises(OutOfResources, match="another problem"):
        attention(q, k, v, causal, backend="flex")


def test_flex_says_what_to_use_on_other_devices():
    q, k, v = (x.to("meta") for x in tensors(causal, 4, 4))
    with pytest.raises(RuntimeError, match=r"got the device 'meta'.*backend='tiled'"):
        attention(q, k, v, causal, backend="flex")


def test_auto_says_what_it_takes_and_why():
    n = 4096
    array = torch.ones(8, 8, dtype=torch.bool)
    for mask, lengths, backend, reason in (
        (None, (n,), "sdpa", "every pair is allowed"),
        (full, (n,), "sdpa", "every pair is allowed"),
        (array, (8,), "sdpa", "an array already"),
        (causal, (n,), "sdpa", "knows the causal mask"),
        (causal & window(9), (64,), "sdpa", "1,048,576 pairs is small"),
        (causal, (n, 4 * n), "sdpa", "of the tiles hold an allowed pair, too many"),
        (
            causal,
            (n, 4 * n + 1),
            "tiled",
            "the others are skipped",
        ),  # 64 MiB as an array
        (causal, (8192, 2**17), "tiled", "96.9% of the tiles hold an allowed pair"),
        (causal & window(9), (n,), "tiled", "the others are skipped"),
        (causal & window(9), (16, 2**20), "tiled", "the others are skipped"),
    ):
        choice = choose_backend(mask, *lengths)
        assert choice.backend == backend
        assert reason in choice.reason


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("causal", 4), TypeError, "mask: expected a Mask, None or .* got str"),
        ((np.ones((4, 4), bool), 4), TypeError, "mask: .* got ndarray"),
        ((causal, -1), ValueError, "n_q: expected at least 0, got -1"),
        ((causal, 4.5), TypeError, "n_q: expected an integer, got 4.5"),
        ((causal, 4, 3), ValueError, "n_q=4: more queries than the n_k=3 keys"),
    ],
)
def test_a_choice_for_what_cannot_be_computed_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        choose_backend(*arguments)


def test_auto_on_a_gpu_takes_flex_but_for_float64(monkeypatch):
    """Without a GPU: all that is looked for is the name of the device, and Triton."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "triton")
    sparse = causal & window(64)
    for dtype, backend in ((torch.float32, "flex"), (torch.float64, "tiled")):
        choice = choose_backend(sparse, 4096, device="cuda", dtype=dtype)
        assert choice.backend == backend
    assert choose_backend(sparse, 4096, device="cpu").backend == "tiled"


def test_auto_leaves_flex_to_gpus_with_enough_fast_memory(monkeypatch):
    """A T4 has compute capability 7.5; no GPU is asked, neither here nor there."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, backend in (((7, 5), "tiled"), ((8, 0), "flex"), ((12, 0), "flex")):
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda device, c=capability: c
        )
        choice = choose_backend(causal & window(64), 4096, device="cuda")
        assert choice.backend == backend
        assert ("fast memory" in choice.reason) == (backend == "tiled")


def test_auto_computes_with_what_it_says(monkeypatch):
    """The back end that is not chosen is not called: with it broken, the result is still there."""
    q, k, v = (torch.randn(1, 2048, 4) for _ in range(3))
    sparse = causal & window(9)
    wanted = attention(q, k, v, sparse, backend="dense")

    def broken(*arguments, **options):
        raise AssertionError("called")

    monkeypatch.setattr(fused, "attend", broken)
    torch.testing.assert_close(attention(q, k, v, sparse), wanted)
    with pytest.raises(AssertionError, match="called"):
        attention(q, k, v, causal)


def test_the_tensor_of_a_table_is_made_outside_of_any_trace():
    """A table first met inside vmap stays usable outside, and the other way round."""
    mask = document(IDS)
    create_block_mask(mask, None, None, 8, 8, device="cpu")
    positions = torch.arange(8)
    assert (mask.allowed(positions[:, None], positions).numpy() == mask.dense(8)).all()


def test_a_table_first_met_in_a_trace_is_no_stand_in_afterwards():
    mask = causal & document(IDS)
    with FakeTensorMode():
        x = torch.empty(1, 8, 4)
        assert attention(x, x, x, mask, backend="dense").shape == (1, 8, 4)
    positions = torch.arange(8)
    assert (mask.allowed(positions[:, None], positions).numpy() == mask.dense(8)).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_table_first_met_under_torch_compile(n):
    """With two tokens, what checks a table must not be taken for the tensors that read it."""
    mask = causal & document([4, *[1] * (n - 1)])
    x = torch.randn(1, n, 4)
    attend = lambda x: attention(x, x, x, mask, backend="dense")  # noqa: E731
    found = torch.compile(attend, backend="eager")(x)
    torch._dynamo.reset()
    torch.testing.assert_close(found, attend(x))


def test_numbers_beyond_32_bits_survive_the_positions_of_flex():
    large = document([2**40, 2**40 + 2**32, 2**40])
    i = torch.arange(3, dtype=torch.int32)
    pairs = large(None, None, i[:, None], i)
    same = [True, False, True]
    assert pairs.tolist() == [same, [False, True, False], same]


def test_an_array_of_the_last_rows_must_be_shifted():
    """FlexAttention counts queries from 0, where such an array has no row."""
    mask = causal & explicit(np.ones((3, 5), dtype=bool))
    blocks = coarse(mask, 2)
    for wrong in (mask, mask.shift(1), ~mask, causal | mask, blocks, blocks.shift(3)):
        with pytest.raises(ValueError, match=r"mask\.shift\(n_k - n_q\)"):
            create_block_mask(wrong, None, None, 3, 5, device="cpu")
    pairs = create_mask(blocks.shift(4), None, None, 6, 10, device="cpu")[0, 0]
    assert pairs.tolist() == blocks.dense(6, 10).tolist()
    pairs = create_mask(mask.shift(2), None, None, 3, 5, device="cpu")[0, 0]
    assert pairs.tolist() == mask.dense(3, 5).tolist()
