"""Around attention.

The attention is right, and something beside it looks ahead: a statistic, a filter, a position, a
target. A test of attention with a given mask finds none of these. Probe the whole model.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import (
    CONVOLUTION,
    NORMALISING,
    POSITIONS,
    ROUNDING,
    TARGETS,
    TWO_LIBRARIES,
    WITH_DROPOUT,
    dropout,
    library_with_true_for_blocked,
    mean_of_three,
    rounded_to,
)
from lib.bugs.tell_tales import (
    all_that_may_be_read_is_read,
    equal_values_come_back,
    nothing_hidden_is_read,
    prefixes_agree,
)
from lib.masks import causal
from lib.numpy_attention import attention, attention_weights


@bug(
    TWO_LIBRARIES,
    tell_tale="Each layer passes its own test. Only the stack, probed as a whole, leaks.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/tensorflow/text/pull/894",
)
def one_mask_for_two_libraries(x):
    """One layer is exchanged for that of another library, and the mask stays. In the first library True means
    *may attend*, in the second it means *blocked*. In the thread the model reached an accuracy of 100 % in no
    time.
    """
    mask = causal.dense(len(x))
    hidden = attention(x, x, x, mask)
    return library_with_true_for_blocked(hidden, hidden, hidden, mask)


@bug(
    NORMALISING,
    tell_tale="Everything moves with everything: with batch normalisation in train mode only.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 5, "3 Sublayers that break it"',
    thread="https://github.com/espnet/espnet/issues/5900",
)
def normalised_over_time(x):
    """Mean and spread are taken over the tokens instead of the features: batch normalisation, or a layer
    normalisation on the wrong axis. Both statistics hold a little of every token of the text. In the thread a
    model with `causal=True` was not causal for this reason.
    """
    return (x - x.mean(axis=0)) / x.std(axis=0)


@bug(
    ROUNDING,
    tell_tale="One very large token at the end, and earlier outputs move by a rounding step.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 5, "3 Sublayers that break it"',
)
def one_scale_for_all_tokens(x):
    """Numbers are rounded to 8 bits to save memory, with the largest number of the whole array as the scale. A
    large token in the future makes the steps coarser for all. The cure is a scale for each token.
    """
    return rounded_to(np.abs(x).max() / 127, x)


@bug(
    CONVOLUTION,
    tell_tale="A second diagonal, just above the first.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 5, "3 Sublayers that break it"',
    thread="https://github.com/maxim5/time-series-machine-learning/issues/12",
)
def centred_convolution(x):
    """A short convolution is put before the attention, and the padding that keeps the length, `same`, pads both
    sides. Each token then has its right neighbour in it before the attention begins.
    """
    return mean_of_three(np.pad(x, ((1, 1), (0, 0))))


@bug(
    POSITIONS,
    tell_tale="The probe finds nothing. A prefix, run on its own, gives other outputs than the whole text.",
    passes=prefixes_agree,
    chapter='Chapter 5, "3 Sublayers that break it"',
)
def position_over_length(x):
    """Positions are scaled to run from 0 to 1, which looks tidy. For texts of one length this is causal. But
    what a token gets changes with each token that is written after it, so no cache can be right.
    """
    return x + (np.arange(len(x)) / len(x))[:, None]


@bug(
    TARGETS,
    tell_tale="In training the loss goes to zero, and then the model repeats the last word it was given.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 5, "5 Seven masks and a die"',
    thread="https://github.com/Project-MONAI/GenerativeModels/issues/314",
)
def unshifted_targets(hidden):
    """The mask is right, and row t, which has read tokens 0 to t, is trained to give token t. It only has to
    copy. The row that predicts token t is row t − 1.
    """
    return hidden


@bug(
    TARGETS,
    tell_tale="What is written leaves out a word: the next but one comes at once. No row has read the word before its "
    "own.",
    passes=all_that_may_be_read_is_read,
    chapter="Chapter 5",
    thread="https://github.com/huggingface/transformers/issues/47394",
)
def targets_shifted_twice(hidden):
    """The data come shifted, and the loss shifts them again. Row t is trained to give token t + 2. Shapes fit, the loss
    falls, and the model learns to guess the next word but one.
    """
    start = np.zeros((2, hidden.shape[1]))
    return np.concatenate([start, hidden[:-2]])


@bug(
    WITH_DROPOUT,
    tell_tale="In eval mode the same text twice gives two outputs. Weights are 0 where a key may be read.",
    passes=equal_values_come_back,
    chapter="Chapter 5",
    thread="https://github.com/pytorch/pytorch/issues/124464",
)
def dropout_left_on(q, k, v, training, rng):
    """A layer of dropout knows by itself whether it is in training. A function that takes the rate as a number, such as
    PyTorch's fused attention, does as it is told. Then half of the weights go missing in use, too.
    """
    return dropout(attention_weights(q, k, causal), rng) @ v
