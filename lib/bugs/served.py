"""Served, token by token.

A server keeps the keys and values of many texts in memory that it has set aside, writes one token at a time, guesses
ahead, and follows several continuations at once. Each of these has its own way to let a token read what is not its
past. Compare with one call on the whole text.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import (
    BEAMS,
    DRAFTS,
    FIXED_CACHE,
    SLIDING_STEPS,
    SLOPE,
    SLOPED_STEPS,
    WINDOW,
    extend,
    scores,
)
from lib.bugs.tell_tales import (
    all_that_may_be_read_is_read,
    equal_values_come_back,
    nothing_hidden_is_read,
    pieces_give_the_whole,
)
from lib.masks import causal, window
from lib.numpy_attention import attention, softmax


@bug(
    FIXED_CACHE,
    tell_tale="Give all tokens the same value: less comes back, until the cache is full.",
    passes=equal_values_come_back,
    chapter="Chapter 6",
    thread="https://github.com/huggingface/transformers/pull/45940",
)
def unwritten_slots_read(q, keys, values, length):
    """The cache has a fixed size, and its slots are zero until a token comes. A single query may read everything that
    is there, so it gets no mask. But a key of zeros has the score 0, not −∞, and takes its share of the weight.
    """
    return attention(q, keys, values)


@bug(
    SLIDING_STEPS,
    tell_tale="Long texts alone are wrong, and only while writing: outputs move with tokens that left the window.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 6",
    thread="https://github.com/karpathy/nanochat/issues/452",
)
def window_dropped_for_one_query(q, k, v):
    """One query needs no causal mask, so a shortcut for it leaves the mask out. With it goes the window. A model that
    was trained with a window now reads the whole text, one token at a time, and its prompt as it should.
    """
    mask = None if len(q) == 1 else causal & window(WINDOW)
    return attention(q, k, v, mask)


@bug(
    SLOPED_STEPS,
    tell_tale="The first call is right. Read in pieces, the text gets other outputs than at once.",
    passes=pieces_give_the_whole,
    chapter="Chapter 6",
    thread="https://github.com/keras-team/keras-hub/pull/2977",
)
def position_restarts_in_a_step(q, k, v):
    """Every key gets a bias that grows with its position (ALiBi). The bias is built for the tokens of the call. In a
    step that is one token, at position 0, whose bias of 0 broadcasts to all keys: nothing complains, and no key is near
    or far any more.
    """
    biased = scores(q, k) + SLOPE * np.arange(len(q))
    first = len(k) - len(q)
    allowed = np.arange(len(k)) <= first + np.arange(len(q))[:, None]
    return softmax(np.where(allowed, biased, -np.inf)) @ v


@bug(
    DRAFTS,
    tell_tale="Outputs move with tokens that nobody sees in the text.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 6",
    thread="https://github.com/ml-explore/mlx-lm/pull/1109",
)
def rejected_draft_stays(q, k, v, cache, accepted):
    """A small model drafts some tokens, the large one reads them in one call and rejects the rest from the first wrong
    one on. They are gone from the text, and still in the cache. What is written next has them in its past.
    """
    keys, values = extend(cache, k, v)
    return attention(q, keys, values, causal), (keys, values)


@bug(
    BEAMS,
    tell_tale="With one beam all is well. With more, a text goes on without having read its own beginning.",
    passes=all_that_may_be_read_is_read,
    chapter="Chapter 6",
    thread="https://github.com/huggingface/transformers/issues/46612",
)
def cache_rows_not_reordered(q, k, v, cache, rows):
    """Beam search keeps the best continuations, and two of them may go on from the same text. The tokens are put into
    their new rows, the cache is not. A row then has the words of one text and the past of another.
    """
    keys, values = (
        np.concatenate(pair, axis=1) for pair in zip(cache, (k, v), strict=True)
    )
    return attention(q, keys, values, causal)
