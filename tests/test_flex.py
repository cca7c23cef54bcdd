"""A mask is a FlexAttention mask_mod: block masks against `dense`, attention against SDPA, also compiled."""

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from strategies import BATCH, BATCHED, IDS, NAMED
from torch.nn.attention.flex_attention import (
    create_block_mask,
    create_mask,
    flex_attention,
)

from lib.masks import (
    Mask,
    causal,
    coarse,
    document,
    explicit,
    padding,
    sink,
    strided,
    window,
)

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


@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs g++, and it is not here"
)
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning")
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_flex_attention_equals_sdpa_with_the_dense_mask(name):
    mask = COMPILED[name]
    torch.compiler.reset()  # Dynamo compiles a function for eight masks at most
    q, k, v = tensors(mask, 32, 48)
    blocks = create_block_mask(mask.shift(16), mask.batch, None, 32, 48, device="cpu")
    output = torch.compile(flex_attention)(q, k, v, block_mask=blocks)
    torch.testing.assert_close(output, sdpa(q, k, v, mask), atol=1e-5, rtol=1e-5)


def test_the_tensor_of_a_table_is_made_outside_of_any_trace():
    """A table first met inside vmap stays usable outside, and the other way round."""
    mask = document(IDS)
    create_block_mask(mask, None, None, 8, 8, device="cpu")
    positions = torch.arange(8)
    assert (mask.allowed(positions[:, None], positions).numpy() == mask.dense(8)).all()


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
