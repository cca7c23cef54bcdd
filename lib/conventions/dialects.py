"""Who means what by True, which window, which alignment: one record for each library (Chapter 3).

What a record of PyTorch says about True, alignment and empty rows is not written here: `measured` finds it
out by running PyTorch. Other libraries are cited from their own documentation or source; where one of them is
installed, the tests derive its record again. `lib.conventions` converts by these records, and `table` prints them.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from lib import markdown
from lib.conventions.cited import CITED
from lib.conventions.records import (
    ALL_KEYS,
    BLOCKED,
    BOTTOM_RIGHT,
    HEADS_FIRST,
    MAY_ATTEND,
    NONE,
    NOT_A_NUMBER,
    TOP_LEFT,
    ZEROS,
    Attend,
    Causal,
    Convention,
)


def measured(convention: Convention) -> Convention:
    """The record with what PyTorch does, found by running it on the CPU."""
    attend, causal = convention.attend, convention.causal
    # FlexAttention says that it is slow when it is not compiled; two tokens do not mind.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        return replace(
            convention,
            true_means=_true_means(attend) if attend else convention.true_means,
            empty_row=_empty_row(attend) if attend else convention.empty_row,
            alignment=_alignment(causal) if causal else convention.alignment,
        )


def conventions() -> tuple[Convention, ...]:
    """All records, complete."""
    return (*map(measured, TORCH), *CITED)


def table(window: int = 4) -> str:
    """The records as a Markdown table; `window` is the number whose readings are compared."""
    head = [
        "library", "call", "True means", f"keys in a causal window “{window}”",
        "n_q ≠ n_k", "layout", "row without a key", "how we know",
    ]  # fmt: skip
    rows = []
    for c in conventions():
        keys = f"{c.window.keys(window)} (`{c.window.parameter}`)" if c.window else NONE
        rows.append([
            c.library, f"`{c.call}`", c.true_means, keys,
            c.alignment, c.layout, c.empty_row, f"[{c.established}]({c.source})",
        ])  # fmt: skip
    return markdown.table(head, rows)


# --- questions put to a library ----------------------------------------------------------------------


def _true_means(attend: Attend) -> str:
    """With True on key 0 alone, does query 1 read key 0, or the other one?"""
    only_key_0 = torch.tensor([[True, False], [True, False]])
    reads_it = _moves(attend, 1, 0, 2, 2, only_key_0)
    return MAY_ATTEND if reads_it else BLOCKED


def _empty_row(attend: Attend) -> str:
    """What query 0 gets when all keys are masked for it: NaN, something of the keys, or nothing."""
    allowed = torch.tensor([[False, False], [True, True]])
    mask = allowed if _true_means(attend) == MAY_ATTEND else ~allowed
    tokens = _tokens(2)
    if attend(tokens, tokens, mask)[0].isnan().any():
        return NOT_A_NUMBER
    return ALL_KEYS if _moves(attend, 0, 1, 2, 2, mask) else ZEROS


def _alignment(causal: Causal) -> str:
    """Does a single query among three keys read the last key, or only the first?"""
    return BOTTOM_RIGHT if _moves(causal, 0, 2, 1, 3) else TOP_LEFT


def _moves(attend: Callable, i: int, j: int, n_q: int, n_k: int, *mask) -> bool:
    """Whether output i moves when token j of the keys and values changes."""
    queries, keys = _tokens(n_q), _tokens(n_k)
    changed = keys.clone()
    changed[j] += 1
    return not torch.equal(
        attend(queries, keys, *mask)[i], attend(queries, changed, *mask)[i]
    )


def _tokens(n: int) -> torch.Tensor:
    return torch.arange(4.0 * n).reshape(n, 4).sin()


# --- PyTorch, by running it --------------------------------------------------------------------------


def _sdpa(q, k, mask=None, **options):
    q, k = q[None, None], k[None, None]
    return F.scaled_dot_product_attention(q, k, k, mask, **options)[0, 0]


def _flex(q, k, mask_mod):
    blocks = create_block_mask(mask_mod, None, None, len(q), len(k), device="cpu")
    q, k = q[None, None], k[None, None]
    return flex_attention(q, k, k, block_mask=blocks)[0, 0]


def _mha(need_weights: bool) -> Attend:
    def attend(q, k, mask):
        module = _seeded(nn.MultiheadAttention, 4, 2, bias=False)
        return module(q, k, k, attn_mask=mask, need_weights=need_weights)[0]

    return attend


def _encoder_layer(train: bool) -> Attend:
    def attend(q, k, mask):
        layer = _seeded(nn.TransformerEncoderLayer, 4, 2, 8, 0.0, batch_first=True)
        return layer.train(train)(k[None], src_mask=mask)[0]

    return attend


def _seeded(module: type[nn.Module], *arguments, **options) -> nn.Module:
    """The module with the same weights each time; the caller's random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return module(*arguments, **options).eval()


_DOCS = "https://docs.pytorch.org/docs/stable/"
TORCH = (
    Convention(
        "PyTorch",
        "scaled_dot_product_attention(attn_mask=…), or is_causal=True",
        f"{_DOCS}generated/torch.nn.functional.scaled_dot_product_attention.html",
        HEADS_FIRST,
        attend=_sdpa,
        causal=lambda q, k: _sdpa(q, k, is_causal=True),
    ),
    Convention(
        "PyTorch",
        "scaled_dot_product_attention(attn_mask=causal_lower_right(n_q, n_k))",
        f"{_DOCS}generated/torch.nn.attention.bias.causal_lower_right.html",
        HEADS_FIRST,
        true_means=NONE,
        empty_row=NONE,
        causal=lambda q, k: _sdpa(q, k, causal_lower_right(len(q), len(k))),
    ),
    Convention(
        "PyTorch",
        "scaled_dot_product_attention(attn_mask=causal_upper_left(n_q, n_k))",
        f"{_DOCS}generated/torch.nn.attention.bias.causal_upper_left.html",
        HEADS_FIRST,
        true_means=NONE,
        empty_row=NONE,
        causal=lambda q, k: _sdpa(q, k, causal_upper_left(len(q), len(k))),
    ),
    Convention(
        "PyTorch",
        "flex_attention, mask_mod(b, h, q_idx, kv_idx)",
        f"{_DOCS}nn.attention.flex_attention.html",
        HEADS_FIRST,
        attend=lambda q, k, mask: _flex(q, k, lambda b, h, i, j: mask[i, j]),
        causal=lambda q, k: _flex(q, k, lambda b, h, i, j: j <= i),
    ),
    Convention(
        "PyTorch",
        "MultiheadAttention(attn_mask=…, need_weights=True)",
        f"{_DOCS}generated/torch.nn.MultiheadAttention.html",
        "batch, tokens, features with batch_first=True",
        alignment=NONE,
        attend=_mha(need_weights=True),
    ),
    Convention(
        "PyTorch",
        "MultiheadAttention(attn_mask=…, need_weights=False)",
        f"{_DOCS}generated/torch.nn.MultiheadAttention.html",
        "batch, tokens, features with batch_first=True",
        alignment=NONE,
        attend=_mha(need_weights=False),
    ),
    Convention(
        "PyTorch",
        "TransformerEncoderLayer(src_mask=…), in training",
        f"{_DOCS}generated/torch.nn.TransformerEncoderLayer.html",
        "batch, tokens, features with batch_first=True",
        alignment=NONE,
        attend=_encoder_layer(train=True),
    ),
    Convention(
        "PyTorch",
        "TransformerEncoderLayer(src_mask=…), eval() under no_grad()",
        f"{_DOCS}generated/torch.nn.TransformerEncoderLayer.html",
        "batch, tokens, features with batch_first=True",
        alignment=NONE,
        attend=_encoder_layer(train=False),
    ),
)
