"""Conversions are judged by what the real modules do with them, and the table by running what it speaks of.

Each mask is converted, handed to the real PyTorch module, and the output compared with `lib.torch_attention`, which
knows nothing of the conversion. Rows of other libraries are derived again where the library is installed.
"""

import importlib.util
import math
import re

import numpy as np
import oracle
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from strategies import BATCH, batched_masks_with_rules, masks_with_rules
from torch import nn
from torch.nn.attention.bias import causal_lower_right

from lib.adaptive import gated_attention
from lib.conventions import (
    WINDOWS,
    from_additive,
    from_attention_mask,
    from_key_padding_mask,
    from_mha,
    from_sdpa,
    to_additive,
    to_mha,
    to_sdpa,
    top_left,
    window_from,
    window_size,
)
from lib.conventions.dialects import CITED, TORCH, conventions, measured, table
from lib.conventions.records import (
    ALL_KEYS,
    BLOCKED,
    BOTTOM_RIGHT,
    MAY_ATTEND,
    NOT_A_NUMBER,
    TOP_LEFT,
    ZEROS,
    Convention,
)
from lib.masks import Mask, causal, document, explicit, full, local, padding, window
from lib.torch_attention import attention

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def qkv(n_q, n_k, leading=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(*leading, n, 8, generator=generator, dtype=torch.float64)
        for n in (n_q, n_k, n_k)
    ]


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


def each_row_has_a_key(mask, n_q, n_k):
    """The mask as booleans, with key 0 opened in rows that would be empty."""
    allowed = torch.tensor(mask.dense(n_q, n_k))
    allowed[..., 0] |= ~allowed.any(dim=-1)
    return allowed


# --- what PyTorch does with a converted mask ----------------------------------------------------------


@given(case=masks_with_rules)
def test_sdpa_reads_a_converted_mask_as_the_course_does(case):
    mask, _ = case
    for n_q, n_k in ((7, 7), (3, 7), (1, 5)):
        q, k, v = qkv(n_q, n_k, (2, 3))
        output = F.scaled_dot_product_attention(q, k, v, to_sdpa(mask, n_q, n_k))
        close(output, attention(q, k, v, mask, backend="dense"))


@given(case=batched_masks_with_rules)
def test_sdpa_reads_a_mask_with_a_batch(case):
    mask, _ = case
    q, k, v = qkv(4, 7, (BATCH, 2))
    output = F.scaled_dot_product_attention(q, k, v, to_sdpa(mask, 4, 7))
    close(output, attention(q, k, v, mask, backend="dense"))


def mha_by_hand(module, x, memory, allowed):
    """nn.MultiheadAttention from its weights and the course's attention."""
    w_q, w_k, w_v = module.in_proj_weight.chunk(3)
    heads = (
        y.unflatten(-1, (module.num_heads, -1)).transpose(-2, -3)
        for y in (x @ w_q.T, memory @ w_k.T, memory @ w_v.T)
    )
    joined = attention(*heads, allowed, backend="dense").transpose(-2, -3).flatten(-2)
    return module.out_proj(joined)


def mha(heads=2):
    torch.manual_seed(5)
    return nn.MultiheadAttention(
        8, heads, bias=False, batch_first=True, dtype=torch.float64
    )


@pytest.mark.parametrize("need_weights", [True, False])
@given(case=masks_with_rules)
def test_mha_reads_a_converted_mask_as_the_course_does(need_weights, case):
    mask, _ = case
    x, memory, _ = qkv(3, 7, (2,))
    allowed = each_row_has_a_key(mask, 3, 7)
    module = mha()
    output, _ = module(
        x, memory, memory, attn_mask=to_mha(allowed), need_weights=need_weights
    )
    close(output, mha_by_hand(module, x, memory, allowed))


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_mha_gives_each_row_of_the_batch_and_each_head_its_own_mask(
    heads, need_weights
):
    x, memory, _ = qkv(7, 7, (BATCH,))
    module = mha(heads)
    masks = {
        "of a batch": causal & document([[0] * 7, [0, 0, 1, 1, 1, 2, 2], [*range(7)]]),
        "of a batch of lengths": padding([2, 7, 1]),
    }
    random = np.random.default_rng(1).random((BATCH, heads, 7, 7)) < 0.5
    random[..., 0] = True
    cases = [(mask, to_sdpa(mask, 7)) for mask in masks.values()]
    cases.append((random, torch.tensor(random)))
    for mask, allowed in cases:
        blocked = to_mha(mask, 7, heads=heads)
        output, _ = module(
            x, memory, memory, attn_mask=blocked, need_weights=need_weights
        )
        close(output, mha_by_hand(module, x, memory, allowed))


def test_the_encoder_layer_hides_the_future_with_the_converted_mask_only():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    x = torch.randn(1, 6, 8)
    changed = x.clone()
    changed[:, 4:] += 1
    for train in (True, False):
        layer.train(train)
        right, wrong = to_mha(causal, 6), to_sdpa(causal, 6)
        for mask, hides in ((right, True), (wrong, False)):
            one, other = layer(x, src_mask=mask), layer(changed, src_mask=mask)
            # Under the wrong mask the last query has no key at all; the first ones tell.
            assert torch.equal(one[:, :4], other[:, :4]) == hides


@every_dtype
@pytest.mark.parametrize("finite", [False, True])
def test_an_additive_mask_takes_part_in_the_scores(dtype, finite):
    blocked = torch.finfo(dtype).min if finite else -math.inf
    q, k, v = (x.to(dtype) for x in qkv(3, 7, (2, 3)))
    mask = causal & window(3)
    bias = to_additive(mask, 3, 7, dtype=dtype, blocked=blocked)
    assert bias.dtype == dtype
    weights = torch.softmax(q @ k.mT / 8**0.5 + bias, dim=-1)
    assert (weights[..., ~torch.tensor(mask.dense(3, 7))] == 0).all()
    output = F.scaled_dot_product_attention(q, k, v, bias)
    tolerance = 20 * torch.finfo(dtype).eps
    expected = attention(q, k, v, mask, backend="dense")
    torch.testing.assert_close(output, expected, rtol=tolerance, atol=tolerance)


def test_an_additive_mask_of_a_batch_meets_the_heads():
    q, k, v = qkv(5, 5, (BATCH, 2))
    mask = padding([2, 5, 0])
    bias = to_additive(mask, 5, dtype=torch.float64)
    assert bias.shape == (BATCH, 1, 5, 5)
    output = F.scaled_dot_product_attention(q, k, v, bias)
    close(output, attention(q, k, v, mask, backend="dense"))


@given(case=masks_with_rules)
def test_what_is_converted_comes_back(case):
    mask, rule = case
    for n_q, n_k in ((6, 6), (2, 5), (0, 3), (1, 1), (0, 0)):
        wanted = torch.tensor(oracle.dense(rule, n_q, n_k))
        assert torch.equal(from_sdpa(to_sdpa(mask, n_q, n_k)), wanted)
        assert torch.equal(from_mha(to_mha(mask, n_q, n_k)), wanted)
        for dtype in DTYPES:
            bias = to_additive(mask, n_q, n_k, dtype=dtype)
            assert torch.equal(from_additive(bias), wanted)
            assert torch.equal(from_additive(bias.double().numpy()), wanted)


def test_what_has_a_batch_and_heads_comes_back():
    random = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    assert torch.equal(from_mha(to_mha(random, heads=3), heads=3), random)
    assert torch.equal(from_sdpa(to_sdpa(random.numpy())), random)
    assert torch.equal(from_additive(to_additive(random)), random)
    for nothing in (random[:0], random[:, :, :0], random[..., :0]):
        assert torch.equal(from_mha(to_mha(nothing, heads=3), heads=3), nothing)
    once = to_mha(random[:, :1], heads=3)
    assert torch.equal(from_mha(once, heads=3), random[:, :1].expand(2, 3, 4, 5))


# --- how negative is enough ---------------------------------------------------------------------------

THRESHOLDS = {
    torch.float16: 17.33,
    torch.bfloat16: 92.88,
    torch.float32: 103.97,
    torch.float64: 745.13,
}


@every_dtype
def test_the_least_that_blocks_is_where_softmax_becomes_exactly_0(dtype):
    """Found by going down in steps until the real softmax gives 0; `to_additive` draws the same line."""
    steps = torch.arange(1, 800, 0.25, dtype=dtype)
    scores = torch.stack([torch.zeros_like(steps), -steps], dim=-1)
    vanished = torch.softmax(scores, dim=-1)[:, 1] == 0
    first = steps[vanished].min().item()
    assert first == pytest.approx(THRESHOLDS[dtype], abs=0.6)
    to_additive(causal, 3, dtype=dtype, blocked=-first)
    with pytest.raises(ValueError, match="blocked: expected at most"):
        to_additive(causal, 3, dtype=dtype, blocked=-first + 1)


@every_dtype
def test_the_number_that_the_error_names_is_accepted(dtype):
    with pytest.raises(ValueError, match="blocked: expected at most −") as caught:
        to_additive(causal, 3, dtype=dtype, blocked=-1)
    named = int(re.search(r"at most −(\d+),", str(caught.value))[1])
    to_additive(causal, 3, dtype=dtype, blocked=-named)


def test_a_number_of_numpy_blocks_as_well():
    one, other = (to_additive(causal, 3, blocked=b) for b in (np.float32(-1e9), -1e9))
    assert torch.equal(one, other)


def test_a_mask_of_another_number_of_keys_is_refused():
    with pytest.raises(
        ValueError, match=r"mask: expected shape \(..., 3, 7\), got \(3, 3\)"
    ):
        to_sdpa(np.ones((3, 3), dtype=bool), n_k=7)
    assert to_sdpa(np.ones((3, 7), dtype=bool), n_k=7).shape == (3, 7)


def test_float16_is_not_given_what_it_cannot_hold():
    with pytest.raises(
        ValueError, match=r"float16 can hold, so at least -65504; got -1e\+09; use −inf"
    ):
        to_additive(causal, 3, dtype=torch.float16, blocked=-1e9)
    held = to_additive(causal, 3, dtype=torch.float16, blocked=-65504)
    assert held.isfinite().all()
    for dtype in DTYPES[1:]:
        assert to_additive(causal, 3, dtype=dtype, blocked=-1e9).isfinite().all()


@every_dtype
def test_a_row_that_a_finite_number_blocks_is_not_an_empty_row(dtype):
    """Softmax reads every key there, so the mask cannot be said to hold no key."""
    lowest = torch.finfo(dtype).min
    bias = torch.full((2, 3), lowest, dtype=dtype)
    assert (torch.softmax(bias, dim=-1) > 0.3).all()
    with pytest.raises(ValueError, match="reads every key instead of none"):
        from_additive(bias)
    assert not from_additive(torch.full((2, 3), -math.inf, dtype=dtype)).any()
    bias[0, 1] = 0  # now the second row alone
    with pytest.raises(ValueError, match="reads every key instead of none"):
        from_additive(bias)
    bias[:, 1] = 0
    assert from_additive(bias).tolist() == [[False, True, False]] * 2


def test_an_array_must_have_the_lengths_that_are_given():
    array = np.tri(2, 3, dtype=bool)
    assert to_sdpa(array, 2, 3).tolist() == array.tolist()
    for lengths in ((3, 2), (3, 3), (2,)):
        with pytest.raises(ValueError, match=r"mask: expected shape .*, got \(2, 3\)"):
            to_sdpa(array, *lengths)


# --- alignment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 7), (3, 7), (7, 7), (7, 3), (2, 1)])
def test_top_left_is_what_is_causal_means(n_q, n_k):
    q, k, v = qkv(n_q, n_k, (2, 3))
    output = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    close(output, attention(q, k, v, top_left(causal, n_q, n_k), backend="dense"))


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 7), (3, 7), (7, 7)])
def test_the_courses_masks_are_bottom_right_as_causal_lower_right_is(n_q, n_k):
    q, k, v = qkv(n_q, n_k, (2, 3))
    output = F.scaled_dot_product_attention(q, k, v, causal_lower_right(n_q, n_k))
    close(output, attention(q, k, v, to_sdpa(causal, n_q, n_k), backend="dense"))
    assert torch.equal(
        to_sdpa(causal, n_q, n_k), top_left(causal.shift(n_k - n_q), n_q, n_k)
    )


def test_top_left_of_a_batch_meets_the_heads():
    ids = [[0, 0, 1, 1], [0, 1, 1, 1]]
    got = top_left(causal & document(ids), 2, 4)
    wanted = [[[[1, 0, 0, 0], [1, 1, 0, 0]]], [[[1, 0, 0, 0], [0, 1, 0, 0]]]]
    assert got.int().tolist() == wanted


def test_the_pictures_of_flash_attention():
    """Two queries, five keys: version 2.0 and version 2.1, as its README draws them."""
    assert top_left(causal, 2, 5).int().tolist() == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert to_sdpa(causal, 2, 5).int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


# --- windows ------------------------------------------------------------------------------------------

EVERY_WINDOW = pytest.mark.parametrize("library", WINDOWS)


@EVERY_WINDOW
def test_a_window_goes_there_and_back(library):
    for keys in range(2, 9):
        value = window_size(keys, library)
        back = window_from(value, library).dense(12)
        np.testing.assert_array_equal(back, (causal & window(keys)).dense(12))


def test_what_a_window_of_4_reads_in_each_library():
    """As measured in the libraries; keys of a late query, its own included."""
    assert {name: w.keys(4) for name, w in WINDOWS.items()} == {
        **{"transformers": 4, "xformers": 4, "NATTEN": 4, "attn-gym": 5},
        **{"local-attention": 5, "flash-attention": 5, "TransformerEngine": 5},
        **{"ONNX": 5, "jax": 5},
        **{"mlx-lm": 4, "keras": 4, "vLLM": 4, "llama.cpp": 4},
    }


def test_pairs_may_look_ahead_or_have_no_limit():
    n = 9
    for left in (-1, 0, 2):
        for right in (-1, 0, 3):
            got = window_from((left, right), "flash-attention").dense(n)
            for i in range(n):
                for j in range(n):
                    back = left == -1 or i - j <= left
                    ahead = right == -1 or j - i <= right
                    assert got[i, j] == (back and ahead)
    assert window_from((2, 3), "jax") == local(2, 3)
    assert window_from(3, "jax") == local(3, 3)
    assert window_from((-1, 0), "TransformerEngine") == causal
    assert window_from((-1, -1), "ONNX") == full


# --- the table ----------------------------------------------------------------------------------------


def fake(true_means, empty_row):
    """Attention in a dialect of its own."""

    def attend(q, k, mask):
        allowed = mask if true_means == MAY_ATTEND else ~mask
        scores = (q @ k.T).masked_fill(~allowed, -math.inf)
        weights = torch.softmax(scores, dim=-1)
        filler = {ZEROS: 0.0, NOT_A_NUMBER: math.nan, ALL_KEYS: 1 / len(k)}[empty_row]
        return weights.where(allowed.any(dim=-1, keepdim=True), filler) @ k

    return attend


@pytest.mark.parametrize("true_means", [MAY_ATTEND, BLOCKED])
@pytest.mark.parametrize("empty_row", [ZEROS, NOT_A_NUMBER, ALL_KEYS])
@pytest.mark.parametrize("corner", [TOP_LEFT, BOTTOM_RIGHT])
def test_each_dialect_is_recognised_by_running_it(true_means, empty_row, corner):
    def in_corner(q, k):
        place = top_left if corner == TOP_LEFT else to_sdpa
        return fake(MAY_ATTEND, ZEROS)(q, k, place(causal, len(q), len(k)))

    record = Convention(
        "fake",
        "f",
        "https://example.org",
        "any",
        attend=fake(true_means, empty_row),
        causal=in_corner,
    )
    found = measured(record)
    assert (found.true_means, found.empty_row, found.alignment) == (
        true_means,
        empty_row,
        corner,
    )


def test_the_table_says_of_pytorch_what_its_modules_do():
    found = {c.call: c for c in map(measured, TORCH)}
    assert all(c.established == "run" for c in found.values())
    meaning = {call: c.true_means for call, c in found.items() if c.attend}
    for call, true_means in meaning.items():
        takes_part = "scaled_dot" in call or "flex" in call
        assert true_means == (MAY_ATTEND if takes_part else BLOCKED), call
    corners = {call: c.alignment for call, c in found.items() if c.causal}
    for call, corner in corners.items():
        assert corner == (BOTTOM_RIGHT if "lower_right" in call else TOP_LEFT), call


def test_no_entry_of_the_table_is_missing_and_each_has_its_source():
    for c in conventions():
        for entry in (c.true_means, c.alignment, c.empty_row, c.layout, c.call):
            assert entry, c
        assert re.fullmatch(r"https://[\w./-]+", c.source), c.source
    assert len({(c.library, c.call) for c in conventions()}) == len(TORCH + CITED)


def test_the_table_is_markdown_with_a_row_for_each_record():
    lines = table(6).splitlines()
    assert len(lines) == 2 + len(TORCH + CITED)
    assert {line.count("|") for line in lines} == {lines[1].count("---") + 1}
    assert "“6”" in lines[0]
    row = next(line for line in lines if line.startswith("| attn-gym"))
    assert "| 7 (`window_size`) |" in row
    assert "| may attend |" in row
    assert "[cited](https://github.com/meta-pytorch/attention-gym" in row
    mha_row = next(line for line in lines if "need_weights=True" in line)
    assert "| blocked |" in mha_row
    assert "[run](" in mha_row


def test_measuring_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    conventions()
    assert torch.equal(torch.rand(4), wanted)


# --- other libraries, where they are installed ---------------------------------------------------------


def needs(module, way="it comes with the extra: pip install -e '.[peers]'"):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None,
        reason=f"{module} is not installed; {way}",
    )


RECORDS = {c.library: c for c in CITED}


def agrees_on_windows(library, reads, values, n=24):
    """`reads(value)` gives the pairs (n, n) that the library reads under a causal window of `value`."""
    for value in values:
        found = np.asarray(reads(value))
        wanted = window_from(value, library).dense(n)
        np.testing.assert_array_equal(found, wanted, err_msg=f"{library}, {value}")
        keys = int(found[-1].sum())
        assert window_size(keys, library) == value


@needs("transformers")
def test_transformers():
    from transformers import masking_utils

    def reads(value, **place):
        rule = masking_utils.sliding_window_causal_mask_function(value)
        return masking_utils.sdpa_mask(
            1, 24, 24, mask_function=rule, allow_is_causal_skip=False
        )[0, 0]

    agrees_on_windows("transformers", reads, (1, 4, 7))
    assert RECORDS["transformers"].true_means == MAY_ATTEND
    # Its queries stand where q_offset says: as late as the course's for a cache of 5, first for none.
    for offset, wanted in ((5, to_sdpa(causal, 2, 7)), (0, top_left(causal, 2, 7))):
        placed = masking_utils.sdpa_mask(
            1, 2, 7, q_offset=offset, allow_is_causal_skip=False
        )
        assert torch.equal(placed[0, 0], wanted)


@needs("attn_gym")
def test_attention_gym():
    from attn_gym.masks import generate_sliding_window
    from torch.nn.attention.flex_attention import create_mask

    def reads(value, n_q=24, n_k=24):
        rule = generate_sliding_window(value)
        return create_mask(rule, None, None, n_q, n_k, device="cpu")[0, 0]

    agrees_on_windows("attn-gym", reads, (0, 1, 4, 7))
    assert RECORDS["attn-gym"].alignment == TOP_LEFT
    wanted = top_left(window_from(2, "attn-gym"), 3, 7)
    assert torch.equal(reads(2, 3, 7), wanted)


@needs("local_attention")
def test_local_attention():
    from local_attention import LocalAttention

    q, k = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))[
        :, None
    ]

    def weights(value, **options):
        module = LocalAttention(
            value,
            causal=True,
            exact_windowsize=True,
            autopad=True,
            use_rotary_pos_emb=False,
        )
        return module(q, k, torch.eye(24)[None, None], **options)[0, 0]

    agrees_on_windows("local-attention", lambda w: weights(w) > 0, (1, 4, 7))
    # Its padding mask: True takes part.
    real = torch.arange(24)[None, :] != 20
    assert RECORDS["local-attention"].true_means == MAY_ATTEND
    assert (weights(4, mask=real)[:, 20] == 0).all()
    assert (weights(4, mask=real)[21:23, 19] > 0).all()


@needs(
    "xformers", "its wheel is large, so it is not in the extra: pip install xformers"
)
def test_xformers():
    from xformers.ops.fmha.attn_bias import LowerTriangularFromBottomRightMask

    whole = LowerTriangularFromBottomRightMask()

    def reads(value):
        return from_additive(whole.make_local_attention(value).materialize((24, 24)))

    agrees_on_windows("xformers", reads, (1, 4, 7))
    assert RECORDS["xformers"].alignment == BOTTOM_RIGHT
    assert torch.equal(from_additive(whole.materialize((2, 7))), to_sdpa(causal, 2, 7))


def agrees_on_the_rest(library, attend):
    """True, alignment, layout and empty rows of a library that runs on NumPy arrays (heads first)."""
    record = RECORDS[library]
    q, k, v = (x.float().numpy() for x in qkv(3, 5, (2, 2)))
    allowed = np.random.default_rng(0).random((3, 5)) < 0.5
    allowed[1] = False
    mask = allowed if record.true_means == MAY_ATTEND else ~allowed
    output = attend(q, k, v, mask=mask)
    expected = oracle.attention(q, k, v, allowed)
    np.testing.assert_allclose(
        output[:, :, ::2], expected[:, :, ::2], rtol=1e-5, atol=1e-6
    )
    changed = v.copy()
    changed[:, :, 4] += 1
    moved = not np.array_equal(
        output[:, :, 1], attend(q, k, changed, mask=mask)[:, :, 1]
    )
    assert (record.empty_row == ALL_KEYS) == moved
    assert (record.empty_row == ZEROS) == (not output[:, :, 1].any())
    place = {TOP_LEFT: top_left, BOTTOM_RIGHT: to_sdpa}[record.alignment]
    pairs = place(causal, 3, 5).numpy()
    np.testing.assert_allclose(
        attend(q, k, v, causal=True),
        oracle.attention(q, k, v, pairs),
        rtol=1e-5,
        atol=1e-6,
    )


@needs("mlx_lm", "it is not in the extra: pip install mlx-lm 'mlx[cpu]'")
def test_mlx():
    import mlx.core as mx
    from mlx_lm.models.base import create_causal_mask

    def attend(q, k, v, mask=None, causal=False):
        mask = "causal" if causal else mx.array(mask)
        q, k, v = map(mx.array, (q, k, v))
        output = mx.fast.scaled_dot_product_attention(
            q, k, v, scale=q.shape[-1] ** -0.5, mask=mask
        )
        return np.asarray(output)

    agrees_on_the_rest("mlx-lm", attend)
    agrees_on_windows(
        "mlx-lm", lambda w: create_causal_mask(24, window_size=w), (1, 4, 7)
    )


@needs("keras", "it is not in the extra: pip install 'keras>=3.15'")
def test_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    x, memory, _ = (x.float() for x in qkv(3, 5, (1,)))

    def weights(query, keys, window=None, **options):
        layer = keras.layers.GroupQueryAttention(8, 2, 2, sliding_window=window)
        options["return_attention_scores"] = True
        return layer(query, keys, **options)[1][0, 0].numpy(force=True)

    tokens = torch.ones(1, 24, 8)
    agrees_on_windows(
        "keras", lambda w: weights(tokens, tokens, w, use_causal_mask=True) > 0, (1, 4)
    )
    record = RECORDS["keras"]
    place = {TOP_LEFT: top_left, BOTTOM_RIGHT: to_sdpa}[record.alignment]
    found = weights(x, memory, use_causal_mask=True) > 0
    np.testing.assert_array_equal(found, place(causal, 3, 5))
    mask = torch.zeros(1, 3, 5, dtype=torch.bool)
    mask[0, 0, 1] = True
    found = weights(x, memory, attention_mask=mask)[0] > 0
    assert (record.true_means == MAY_ATTEND) == bool(found[1])
    # The weights that it returns are 0 in an empty row, and the output moves all the same.
    layer = keras.layers.GroupQueryAttention(8, 2, 2)
    changed = memory.clone()
    changed[:, 4] += 1
    before, after = (layer(x, y, attention_mask=mask)[0] for y in (memory, changed))
    assert torch.equal(before[0], after[0])
    assert (record.empty_row == ALL_KEYS) == (not torch.equal(before[1], after[1]))


@needs("jax")
def test_jax():
    import jax

    def attend(q, k, v, mask=None, causal=False, **options):
        swap = RECORDS["jax"].layout == "batch, tokens, heads, features"
        q, k, v = (np.swapaxes(x, 1, 2) if swap else x for x in (q, k, v))
        if mask is not None:
            options["mask"] = mask[None, None]
        output = jax.nn.dot_product_attention(q, k, v, is_causal=causal, **options)
        return np.swapaxes(np.asarray(output), 1, 2) if swap else np.asarray(output)

    identity = np.eye(24, dtype=np.float32)[None, None]

    def reads(value):
        return (
            attend(0 * identity, identity, identity, local_window_size=value)[0, 0] > 0
        )

    agrees_on_the_rest("jax", attend)
    agrees_on_windows("jax", reads, [(0, 0), (4, 0), (7, 0)])
    for value in (3, (2, 1)):
        np.testing.assert_array_equal(reads(value), window_from(value, "jax").dense(24))


@needs("onnx")
def test_onnx():
    import onnx
    from onnx.reference import ReferenceEvaluator

    def attend(q, k, v, mask=None, causal=False, **options):
        names = ["Q", "K", "V"] + (["M"] if mask is not None else [])
        kinds = [onnx.TensorProto.FLOAT] * 3 + [onnx.TensorProto.BOOL]
        make = onnx.helper
        node = make.make_node(
            "Attention", names, ["Y"], is_causal=int(causal), **options
        )
        inputs = [
            make.make_tensor_value_info(name, kind, None)
            for name, kind in zip(names, kinds, strict=False)
        ]
        result = make.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)
        graph = make.make_graph([node], "attention", inputs, [result])
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 25)])
        feed = dict(zip(names, (q, k, v, mask), strict=False))
        return ReferenceEvaluator(model).run(None, feed)[0]

    identity = np.eye(24, dtype=np.float32)[None, None]

    def reads(value):
        left, right = value
        sides = {"left_window_size": left, "right_window_size": right}
        return attend(0 * identity, identity, identity, **sides)[0, 0] > 0

    agrees_on_the_rest("ONNX", attend)
    agrees_on_windows("ONNX", reads, [(0, 0), (4, 0), (7, 0)])
    for value in ((-1, 2), (3, -1), (-1, 0), (-1, -1), (2, 1)):
        np.testing.assert_array_equal(
            reads(value), window_from(value, "ONNX").dense(24)
        )


# --- what is refused, and what the message says --------------------------------------------------------

ONES = np.ones((3, 3), dtype=bool)
REFUSED = {
    "no length": (
        lambda: to_sdpa(causal),
        ValueError,
        "n_q: expected the number of queries, since causal fits any; got None",
    ),
    "a mask of numbers": (
        lambda: to_sdpa(np.ones((3, 3))),
        TypeError,
        r"mask: expected booleans, got torch\.float64; if 1 stands for True, give mask == 1; .* from_attention_mask",
    ),
    "a mask of numbers for each head": (
        lambda: from_mha(np.ones((2, 3, 3), dtype=int), heads=2),
        TypeError,
        r"attn_mask: expected booleans, got torch\.int64; if 1 stands for True, give attn_mask == 1$",
    ),
    "a mask of biases": (
        lambda: to_sdpa(torch.tensor([[0.0, -0.5], [-1.0, 0.0]])),
        TypeError,
        r"got torch\.float32; its numbers say more than yes and no; .*gated_attention takes the gate exp\(bias",
    ),
    "a batch or heads": (
        lambda: to_sdpa(np.ones((2, 3, 3), dtype=bool)),
        ValueError,
        r"first axis of an array of shape \(2, 3, 3\) may be the batch or the heads; .*explicit\(mask\) or "
        r"mask\[:, None\] .* mask\[None\]",
    ),
    "a batch or heads to be added": (
        lambda: to_additive(np.ones((2, 3, 3), dtype=bool), 3),
        ValueError,
        "may be the batch or the heads",
    ),
    "no mask": (
        lambda: to_mha(None),
        TypeError,
        r"mask: expected a Mask or booleans, got NoneType; .* give lib\.masks\.full",
    ),
    "a rule": (
        lambda: to_sdpa(lambda i, j: j <= i, 3),
        TypeError,
        r"mask: expected a Mask or booleans, got function; .*Mask\(lambda",
    ),
    "another length": (
        lambda: to_sdpa(ONES, 3, 4),
        ValueError,
        r"mask: expected shape \(\.\.\., 3, 4\), got \(3, 3\); .* \(batch, keys\), from_attention_mask",
    ),
    "another square": (
        lambda: to_additive(ONES, 4),
        ValueError,
        r"mask: expected shape \(\.\.\., 4, 4\), got \(3, 3\)",
    ),
    "a row": (
        lambda: to_sdpa(ONES[0]),
        ValueError,
        r"mask: expected shape \(\.\.\., n_q, n_k\), got \(3,\)",
    ),
    "a float mask from SDPA": (
        lambda: from_sdpa(torch.tensor([[0.0, -math.inf]])),
        TypeError,
        "attn_mask: expected booleans, got torch.float32; if it is added to the scores, from_additive",
    ),
    "a float mask from MHA": (
        lambda: from_mha(torch.tensor([[0.0, -1e9]])),
        TypeError,
        "attn_mask: expected booleans, got torch.float32; if it is added to the scores, from_additive",
    ),
    "a batch without heads": (
        lambda: to_mha(padding([1, 2]), 3),
        ValueError,
        r"heads: expected the number of heads, since the mask of shape \(2, 1, 3, 3\)",
    ),
    "is it a batch or are they heads": (
        lambda: to_mha(np.stack([ONES, ONES]), heads=2),
        ValueError,
        r"mask: the first axis of an array of shape \(2, 3, 3\) may be the batch or the heads",
    ),
    "other heads": (
        lambda: to_mha(ONES[None, None].repeat(3, 1), heads=2),
        ValueError,
        r"1 or 2 heads, n_q, n_k\), got \(1, 3, 3, 3\)",
    ),
    "no heads": (
        lambda: to_mha(padding([1, 2]), 3, heads=0),
        ValueError,
        "heads: expected at least 1, got 0",
    ),
    "back without heads": (
        lambda: from_mha(ONES[None]),
        ValueError,
        r"attn_mask: expected shape .* and the number of heads; got shape \(1, 3, 3\) and heads=None",
    ),
    "back with four axes": (
        lambda: from_mha(ONES[None, None], heads=1),
        ValueError,
        r"got shape \(1, 1, 3, 3\) and heads=1",
    ),
    "back with other heads": (
        lambda: from_mha(np.stack([ONES] * 3), heads=2),
        ValueError,
        r"attn_mask: expected shape \(batch · 2, n_q, n_k\), got \(3, 3, 3\)",
    ),
    "whole numbers to add": (
        lambda: to_additive(causal, 3, dtype=torch.int32),
        TypeError,
        "dtype: expected a floating-point dtype, such as torch.float32; got torch.int32",
    ),
    "a name of a dtype": (
        lambda: to_additive(causal, 3, dtype="float32"),
        TypeError,
        "dtype: expected a floating-point dtype",
    ),
    "a positive number blocks": (
        lambda: to_additive(causal, 3, blocked=1e9),
        ValueError,
        r"blocked: expected −inf or a negative number, got 1000000000\.0",
    ),
    "NaN blocks": (
        lambda: to_additive(causal, 3, blocked=math.nan),
        ValueError,
        "blocked: expected −inf or a negative number, got nan",
    ),
    "too weak": (
        lambda: to_additive(causal, 3, blocked=-100.0),
        ValueError,
        r"blocked: expected at most −104, since exp of more is not 0 in torch\.float32; got -100; use −inf",
    ),
    "biases": (
        lambda: from_additive(torch.tensor([[0.0, -0.5], [-1.0, 0.0]])),
        ValueError,
        "bias: expected 0 and one number that blocks, .* got -1, -0.5, 0",
    ),
    "one bias": (
        lambda: from_additive(torch.tensor([[0.0, -0.5]])),
        ValueError,
        r"one number that blocks, of at most −104 in torch\.float32; got -0\.5, 0$",
    ),
    "0 and 1": (
        lambda: from_additive(torch.eye(2)),
        ValueError,
        "bias: expected 0 and one number that blocks, .* got 0, 1$",
    ),
    "two numbers that block": (
        lambda: from_additive(torch.tensor([[0.0, -1e9], [-math.inf, 0.0]])),
        ValueError,
        r"bias: expected 0 and one number that blocks, .* got -inf, -1e\+09, 0",
    ),
    "NaN": (
        lambda: from_additive(torch.tensor([[0.0, math.nan]])),
        ValueError,
        "bias: expected 0 and one number that blocks",
    ),
    "many biases": (
        lambda: from_additive(-torch.arange(9.0).reshape(3, 3)),
        ValueError,
        "got -8, -7, -6, -5 …",
    ),
    "a boolean bias": (
        lambda: from_additive(ONES),
        TypeError,
        "bias: expected floats, 0 where a query may attend; got torch.bool; .* from_sdpa or from_mha",
    ),
    "a bias per key": (
        lambda: from_additive(torch.zeros(3)),
        ValueError,
        r"bias: expected shape \(\.\.\., n_q, n_k\), got \(3,\)",
    ),
    "an array cannot be moved": (
        lambda: top_left(ONES, 3, 3),
        TypeError,
        r"mask: expected a Mask, whose queries can be moved, got ndarray; .* explicit\(array\)",
    ),
    "a table of the last rows cannot stand first": (
        lambda: top_left(explicit(ONES[:2]), 2, 3),
        ValueError,
        "explicit, queries",
    ),
    "an unknown library": (
        lambda: window_size(4, "fairseq"),
        ValueError,
        "library: expected one of transformers, attn-gym, .* got 'fairseq'",
    ),
    "no keys": (
        lambda: window_size(0, "transformers"),
        ValueError,
        "keys: expected at least 1, got 0",
    ),
    "fewer keys than local-attention can read": (
        lambda: window_size(1, "local-attention"),
        ValueError,
        "keys: expected at least 2, got 1",
    ),
    "half a key": (
        lambda: window_size(1.5, "jax"),
        TypeError,
        "keys: expected an integer, got 1.5",
    ),
    "a window of nothing": (
        lambda: window_from(0, "transformers"),
        ValueError,
        "sliding_window: expected at least 1, got 0",
    ),
    "a number for a pair": (
        lambda: window_from(4, "flash-attention"),
        TypeError,
        r"window_size: expected a pair \(left, right\), got 4",
    ),
    "three sides": (
        lambda: window_from((1, 2, 3), "jax"),
        TypeError,
        r"local_window_size: expected a pair \(left, right\), got \(1, 2, 3\)",
    ),
    "a pair for a number": (
        lambda: window_from((3, 0), "xformers"),
        TypeError,
        r"window_size: expected an integer, got \(3, 0\)",
    ),
    "no limit in jax": (
        lambda: window_from((-1, 0), "jax"),
        ValueError,
        "local_window_size: expected at least 0, got -1",
    ),
    "less than no limit": (
        lambda: window_from((4, -2), "ONNX"),
        ValueError,
        "expected at least -1, got -2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_a_message_that_helps(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


# What an error advises must be taken. Each case: the call that is refused, words of the advice, and the advice taken,
# which must give the booleans that were meant.
EYE, TRIANGLE = np.eye(3), np.tri(3, dtype=bool)
HIDDEN = np.where(TRIANGLE, 0, -np.inf)
ADVICE = {
    "0 and 1": (
        lambda: to_sdpa(TRIANGLE.astype(int)),
        "mask == 1",
        lambda: to_sdpa(TRIANGLE.astype(int) == 1),
    ),
    "0.0 and 1.0 in a tensor": (
        lambda: from_sdpa(torch.tensor(TRIANGLE).float()),
        "attn_mask == 1",
        lambda: from_sdpa(torch.tensor(TRIANGLE).float() == 1),
    ),
    "1 blocks": (
        lambda: from_mha(1 - TRIANGLE.astype(int)),
        "attn_mask == 1",
        lambda: from_mha((1 - TRIANGLE.astype(int)) == 1),
    ),
    "a number for each key": (
        lambda: to_sdpa(np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])),
        "from_attention_mask",
        lambda: to_sdpa(
            from_attention_mask([[1, 0, 0], [1, 1, 0], [1, 1, 1]]) & causal, 3
        )[2, 0],
    ),
    "a boolean for each key": (
        lambda: to_sdpa(np.array([[True, True, True]]), 3),
        "from_attention_mask",
        lambda: to_sdpa(causal & from_attention_mask([[True, True, True]]), 3)[0, 0],
    ),
    "ignore this key": (
        lambda: to_sdpa(np.array([[False, False, False]]), 3),
        "from_key_padding_mask",
        lambda: to_sdpa(causal & from_key_padding_mask([[False, False, False]]), 3)[
            0, 0
        ],
    ),
    "to be added": (
        lambda: to_sdpa(HIDDEN),
        "from_additive",
        lambda: to_sdpa(from_additive(HIDDEN)),
    ),
    "to be added in MHA": (
        lambda: from_mha(HIDDEN),
        "from_additive",
        lambda: from_additive(HIDDEN),
    ),
    "booleans to be added": (
        lambda: from_additive(TRIANGLE),
        "from_sdpa",
        lambda: from_sdpa(TRIANGLE),
    ),
    "booleans of MHA to be added": (
        lambda: from_additive(~TRIANGLE),
        "from_mha",
        lambda: from_mha(~TRIANGLE),
    ),
    "tokens to be added": (
        lambda: from_additive(np.array([[1, 1, 1]])),
        "from_attention_mask",
        lambda: to_sdpa(causal & from_attention_mask(np.array([[1, 1, 1]])), 3)[0, 0],
    ),
    "a rule": (
        lambda: to_sdpa(lambda i, j: j <= i, 3),
        "Mask(lambda i, j: j <= i)",
        lambda: to_sdpa(Mask(lambda i, j: j <= i), 3),
    ),
    "no mask": (
        lambda: to_sdpa(None, 3),
        "lib.masks.full",
        lambda: to_sdpa(full & causal, 3),
    ),
    "how many queries": (
        lambda: to_sdpa(causal),
        "the number of queries",
        lambda: to_sdpa(causal, 3),
    ),
    "batch": (
        lambda: to_sdpa(TRIANGLE[None]),
        "explicit(mask)",
        lambda: to_sdpa(explicit(TRIANGLE[None]), 3)[0, 0],
    ),
    "batch, by an axis": (
        lambda: to_sdpa(TRIANGLE[None]),
        "mask[:, None]",
        lambda: to_sdpa(TRIANGLE[None][:, None])[0, 0],
    ),
    "heads": (
        lambda: to_sdpa(TRIANGLE[None]),
        "mask[None]",
        lambda: to_sdpa(TRIANGLE[None][None])[0, 0],
    ),
    "heads for MHA": (
        lambda: to_mha(explicit(TRIANGLE[None]), 3),
        "the number of heads",
        lambda: ~to_mha(explicit(TRIANGLE[None]), 3, heads=1)[0],
    ),
    "a square array, moved": (
        lambda: top_left(TRIANGLE, 3, 3),
        "explicit(array)",
        lambda: top_left(explicit(TRIANGLE), 3, 3),
    ),
    "too low a number": (
        lambda: to_additive(causal, 3, dtype=torch.float16, blocked=-1e9),
        "torch.finfo(torch.float16).min",
        lambda: from_additive(
            to_additive(
                causal, 3, dtype=torch.float16, blocked=torch.finfo(torch.float16).min
            )
        ),
    ),
    "too high a number": (
        lambda: to_additive(causal, 3, blocked=-10),
        "use −inf",
        lambda: from_additive(to_additive(causal, 3, blocked=-math.inf)),
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_the_advice_of_an_error_can_be_taken(name):
    refused, words, taken = ADVICE[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        refused()
    assert words in str(caught.value)
    np.testing.assert_array_equal(taken(), TRIANGLE)


def test_the_advice_for_biases_gives_the_attention_that_the_biases_give():
    q, k, v = qkv(3, 3)
    bias = torch.tensor([[0.0, -0.5, -9.0], [-1.0, 2.0, -math.inf], [0.0, 0.0, 0.0]])
    with pytest.raises(
        TypeError, match=r"takes the gate exp\(bias − its largest number\)"
    ):
        to_sdpa(bias)
    bias = bias.double()
    gate = torch.exp(bias - bias.max())
    expected = torch.softmax(q @ k.T / 8**0.5 + bias, dim=-1) @ v
    close(gated_attention(q, k, v, gate, None), expected)


def test_a_row_that_a_finite_number_blocks_is_sent_where_it_is_taken():
    """Not to `from_additive`, which would refuse it."""
    with pytest.raises(TypeError, match="gated_attention"):
        to_sdpa(torch.full((2, 3), -1e9))
