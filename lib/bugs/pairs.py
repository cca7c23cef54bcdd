"""The rule itself is another one.

The wrong pairs are let through. Draw which weights are not zero, and you see it.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import CAUSAL, SLIDING, WINDOW, scores
from lib.bugs.tell_tales import all_that_may_be_read_is_read, nothing_hidden_is_read
from lib.masks import block_causal, causal, local, window
from lib.numpy_attention import attention, softmax


@bug(
    CAUSAL,
    tell_tale="Outputs read later tokens and none before. A small model that is trained with it scores better than "
    "anybody can who knows only the past, and then writes as if by chance.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "6 What does True mean, and where does a query stand?"',
    thread="https://github.com/rasbt/LLMs-from-scratch/pull/1062",
)
def inverted_mask(q, k, v):
    """The mask was built with True for the pairs that are blocked, and the function takes True for those that
    may attend. Both are booleans of the same shape, so nothing complains. In the thread a much-read course had
    this bug in an example and in a benchmark.
    """
    blocked = ~causal.dense(len(q))
    return attention(q, k, v, blocked)


@bug(
    CAUSAL,
    tell_tale="Each output moves with the token right after it. In training the loss falls towards zero, even for "
    "words that nobody can know.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 5, "5 Seven masks and a die"',
)
def looks_one_ahead(q, k, v):
    """Somebody counted from 1 in one place and from 0 in the other, or read the diagonal argument of a triangle
    the wrong way round. One position ahead is all it takes: the next token is exactly what the model is to
    predict.
    """
    return attention(q, k, v, local(len(q), right=1))


@bug(
    CAUSAL,
    tell_tale="The first output is zero, or NaN with a plain softmax. The weights on the diagonal are zero.",
    passes=all_that_may_be_read_is_read,
    chapter='Chapter 2, "1 The future is in the room"',
    thread="https://github.com/pbloem/former/issues/10",
)
def own_position_left_out(q, k, v):
    """Causal attention is often described as reading *the preceding words*, and here that was taken at its
    word: j < i. A token may read itself. Without that, the first token has nothing to read at all.
    """
    return attention(q, k, v, causal & ~window(1))


@bug(
    CAUSAL,
    tell_tale="The picture of the mask is mirrored: the last row holds one key, the first row all of them.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "1 The future is in the room"',
)
def transposed_mask(q, k, v):
    """Rows are queries and columns are keys, until one library has it the other way round, or `triu` is typed
    for `tril`. A square mask keeps its shape when it is transposed, so shape checks pass.
    """
    return attention(q, k, v, causal.dense(len(q)).T)


@bug(
    CAUSAL,
    tell_tale="Every output moves with every token. The result equals attention without any mask, to the last bit.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "1 The future is in the room"',
    thread="https://github.com/opendilab/DI-engine/issues/333",
)
def mask_thrown_away(q, k, v):
    """The mask is built, and applied to a copy. PyTorch's `masked_fill` returns a new tensor and `masked_fill_`
    changes the old one; without the underscore, and without keeping the result, the line does nothing.
    """
    masked = scores(q, k)
    np.where(causal.dense(len(q)), masked, -np.inf)
    return softmax(masked) @ v


@bug(
    CAUSAL,
    tell_tale="Leaks come in blocks beside the diagonal, and the last token of each block has none.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "7 The layer"',
    thread="https://github.com/karpathy/nanochat/issues/844",
)
def block_mask_for_causal(q, k, v):
    """Blocks make long texts cheap, so the rule is written for blocks: ⌊i/b⌋ ≥ ⌊j/b⌋. Between blocks that is
    causal. Inside a block everyone reads everyone, so all but its last token see the future. In the thread,
    summaries of blocks bring a benchmark close to a perfect score.
    """
    return attention(q, k, v, block_causal(2))


@bug(
    SLIDING,
    tell_tale="In the middle of the text a row has w + 1 keys. Count them.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 7",
    thread="https://github.com/huggingface/transformers/issues/39408",
)
def window_one_too_wide(q, k, v):
    """A window of w is w keys in one library, the query's own among them, and w keys *before* the query in
    another. Hand the number over unchanged, and the window has one key more than the model was trained with.
    """
    return attention(q, k, v, local(WINDOW, right=0))


@bug(
    SLIDING,
    tell_tale="In the middle of the text a row has w − 1 keys. Count them.",
    passes=all_that_may_be_read_is_read,
    chapter="Chapter 7",
    thread="https://github.com/lightseekorg/tokenspeed/pull/578",
)
def window_one_too_narrow(q, k, v):
    """The same two conventions, converted in the other direction, or converted twice. In the thread the
    window was one key short while a model wrote: 127 keys instead of 128.
    """
    return attention(q, k, v, causal & window(WINDOW - 1))


@bug(
    SLIDING,
    tell_tale="Outputs move with the tokens just after them, but not with the far future.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 7",
)
def two_sided_window(q, k, v):
    """A local mask is copied from an encoder, where |i − j| < w is right. For a decoder half of that window is
    future. The far future stays hidden, so a test that changes the last token of a long text and looks at the
    first outputs misses it.
    """
    return attention(q, k, v, window(WINDOW))


@bug(
    SLIDING,
    tell_tale="The band is gone: every output reads the whole past, and the near future on top.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/lucidrains/local-attention/issues/5",
)
def and_for_or(q, k, v):
    """Two masks are joined with *and*. That is right where True means *may attend*. Here True means *blocked*,
    and a pair must be blocked when one of the two says so: *or*. With *and* only what both forbid is hidden.
    """
    n = len(q)
    future, outside = ~causal.dense(n), ~window(WINDOW).dense(n)
    return attention(q, k, v, ~(future & outside))
