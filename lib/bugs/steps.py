"""In training and in use.

In training the whole text is there at once. In use it comes step by step, and the keys and values of earlier
tokens wait in a *cache*. The mask must mean the same in both, and it is written twice.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import BRANCHING, CHUNK, IN_USE, PREFILL, extend, scores
from lib.bugs.tell_tales import nothing_hidden_is_read, pieces_give_the_whole
from lib.masks import causal
from lib.numpy_attention import attention, softmax


@bug(
    IN_USE,
    tell_tale="The probe finds it in eval mode and not in train mode. Scores of new texts err either way: small "
    "models went from 0.63 nats to 0.03 in a look-up task, from 0.00 to more than 1 in a majority task.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 4",
    thread="https://github.com/d2l-ai/d2l-en/blob/master/chapter_attention-mechanisms-and-transformers/transformer.md",
)
def masked_only_in_training(q, k, v, training):
    """In use there is no future to hide, so the mask is put under `if training`. True, as long as tokens come
    one at a time. But a text that is scored, or a prompt that is read in, is there as a whole. The decoder of a
    well-known textbook is written like this.
    """
    masked = scores(q, k)
    if training:
        masked = np.where(causal.dense(len(q)), masked, -np.inf)
    return softmax(masked) @ v


@bug(
    CHUNK,
    tell_tale="The newest queries read the oldest keys, and not their own. Reading in pieces gives another result.",
    passes=pieces_give_the_whole,
    chapter="Chapter 6",
    thread="https://github.com/pytorch/pytorch/issues/144858",
)
def top_left_with_a_cache(q, k, v):
    """With a cache there are fewer queries than keys, and the triangle must end in the lower right corner. Many
    functions start it in the upper left one. One new token then sees the first key of the text and nothing
    else.
    """
    n_q, n_k = len(q), len(k)
    return attention(q, k, v, causal.dense(n_k)[:n_q])


@bug(
    PREFILL,
    tell_tale="Outputs of the prompt move with later tokens of the prompt. What is written proves nothing: a small "
    "model of two layers went on to write the right words.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 6",
    thread="https://github.com/Mikyx-1/TinyLLM/issues/17",
)
def no_mask_with_a_cache(q, k, v, cache):
    """A single token with a cache needs no mask, so the mask is skipped whenever there is a cache. But the
    prompt is read in with a cache as well, an empty one. It is read without a mask, and from the
    second layer on its spoilt keys and values stay in the cache. In the thread the model then wrote garbage.
    """
    keys, values = extend(cache, k, v)
    mask = causal if cache is None else None
    return attention(q, keys, values, mask), (keys, values)


@bug(
    BRANCHING,
    tell_tale="The second continuation moves with the first. The same call twice gives two results.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 6",
)
def cache_shared_by_branches(q, k, v, cache):
    """One prompt is to be continued twice. The cache is extended in place, by `+=` or by a method that changes
    the object. So what the first continuation wrote is still there when the second begins, and stands in its
    past.
    """
    cache += [(k, v)]
    keys, values = map(np.concatenate, zip(*cache, strict=True))
    return attention(q, keys, values, causal), cache
