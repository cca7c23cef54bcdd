"""Several texts at once.

Texts of different lengths are padded (filled up to one length with filler), packed (put one after another into
one row) and stacked. The masks that keep them apart have more axes, and more ways to go wrong. The probe sees
these too, once it is told which influence is allowed.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import HEADS, PACKED, PADDED
from lib.bugs.tell_tales import nothing_hidden_is_read
from lib.masks import causal, padding
from lib.numpy_attention import attention


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
