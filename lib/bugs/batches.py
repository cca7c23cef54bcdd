"""Several texts at once.

Texts of different lengths are padded (filled up to one length with filler), packed (put one after another into
one row) and stacked. The masks that keep them apart have more axes, and more ways to go wrong. The probe sees
these too, once it is told which influence is allowed.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import (
    BATCH,
    HEADS,
    PACKED,
    PADDED,
    TEXTS_AND_HEADS,
    TWO_HEADS,
    UNWRITTEN,
    scores_of_heads,
)
from lib.bugs.tell_tales import (
    all_that_may_be_read_is_read,
    nothing_hidden_is_read,
    outputs_are_finite,
    prefixes_agree,
)
from lib.masks import causal, padding
from lib.numpy_attention import attention, softmax


@bug(
    PADDED,
    tell_tale="Change the filler: the outputs of the text move. Change another token of the text: they do not.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/pytorch/pytorch/pull/170415",
)
def padding_inverted(q, k, v, length):
    """The tokenizer's mask has 1 for text, the layer wants True for *ignore*, or the other way round. PyTorch
    itself has both: in `nn.MultiheadAttention` True is blocked, in `scaled_dot_product_attention` it takes
    part.
    """
    is_filler = np.arange(len(k)) >= length
    return attention(q, k, v, is_filler)


@bug(
    PADDED,
    tell_tale="Rows of filler are empty, and rows of text still read the filler's columns.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/hyunwoongko/transformer/pull/40",
)
def padding_on_the_query_side(q, k, v, length):
    """A mask with one number for each token must be laid along the keys. One `unsqueeze` in the wrong place
    lays it along the queries. What is switched off are the outputs of the filler, which nobody uses. The filler
    itself is read.
    """
    is_text = np.arange(len(k)) < length
    return attention(q, k, v, is_text[:, None])


@bug(
    HEADS,
    tell_tale="A text's result depends on which texts stand beside it. With a batch of one, all is well.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/ArrowLuo/CLIP4Clip/issues/22",
)
def heads_and_texts_mixed_up(q, k, v, lengths, heads):
    """Heads are folded into the batch, text by text: A₁ A₂ B₁ B₂. So the masks must be repeated as A A B B.
    PyTorch's `repeat`, like NumPy's `tile`, gives A B A B, and some heads look through the mask of another
    text.
    """
    return attention(q, k, v, padding(np.tile(lengths, heads)))


@bug(
    PACKED,
    tell_tale="Change the first document: outputs of the second move.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 7",
    thread="https://github.com/huggingface/transformers/pull/46634",
)
def documents_forgotten(q, k, v, ids):
    """Short texts are packed into one row, to waste no padding. The causal mask stays as it was, so each text
    reads those before it. Nothing looks ahead, so no test of the future finds it. It is only that a text is read with
    neighbours that stand there by chance.
    """
    return attention(q, k, v, causal)


@bug(
    TEXTS_AND_HEADS,
    tell_tale="With another number of heads than texts it raises an error. With as many, each head has the mask of one "
    "text.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 3",
    thread="https://github.com/microsoft/onnxruntime/pull/27464",
)
def rank_three_mask_on_heads(q, k, v, allowed):
    """Scores have the axes texts, heads, queries, keys; the mask has texts, queries, keys. Broadcasting aligns them
    from the right, so the texts of the mask meet the heads of the scores.
    """
    masked = np.where(allowed, scores_of_heads(q, k), -np.inf)
    return softmax(masked) @ v


@bug(
    TWO_HEADS,
    tell_tale="The causality probe finds nothing. A prefix, run on its own, gives other outputs than the whole text.",
    passes=prefixes_agree,
    chapter="Chapter 2",
    thread="https://github.com/jsbaan/transformer-from-scratch/pull/6",
)
def heads_reshaped_without_transpose(q, k, v):
    """To split the features among heads, the axes of tokens and heads must change places. `reshape` alone gives the
    right shape too, and hands each head a stretch of the text instead of a share of the features. Done going in and
    coming out, it even stays causal.
    """
    heads = (x.reshape(2, len(x), -1) for x in (q, k, v))
    return attention(*heads, causal).reshape(q.shape)


@bug(
    BATCH,
    tell_tale="Change an earlier token of the text: nothing moves. Change another text of the batch: outputs move.",
    passes=all_that_may_be_read_is_read,
    chapter="Chapter 4",
    thread="https://github.com/Exorust/TorchLeet/issues/5",
)
def batch_taken_for_tokens(x):
    """The layer wants the tokens on the first axis and gets the texts there: `batch_first` was forgotten. Shapes fit.
    Each token now reads the tokens at its own place in other texts, and none of its own text.
    """
    x = x.swapaxes(0, 1)
    return attention(x, x, x, causal).swapaxes(0, 1)


@bug(
    UNWRITTEN,
    tell_tale="NaN in every row, although the hidden weights are exactly zero. Fill hidden values with NaN on purpose.",
    passes=outputs_are_finite,
    chapter="Chapter 3",
    thread="https://github.com/deepbeepmeep/Wan2GP/pull/1628",
)
def nan_behind_the_mask(q, k, v, length):
    """Memory is set aside and not yet written, and what lies in it is hidden by the mask. Its weights are exactly zero.
    But zero times NaN is NaN, and the product with the values reads every row of memory.
    """
    text = np.arange(len(k)) < length
    return attention(q, k, v, text)
