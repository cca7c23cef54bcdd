"""The rule is right, and it is applied in the wrong way.

A picture of the mask shows nothing here. Look at the weights, and at what moves.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import CAPPED, CAUSAL, LOUD, capped, scores
from lib.bugs.tell_tales import (
    equal_values_come_back,
    nothing_hidden_is_read,
    outputs_are_finite,
)
from lib.masks import causal
from lib.numpy_attention import attention, softmax


@bug(
    CAUSAL,
    tell_tale="In each row all weights above the diagonal are equal, and none of them is zero.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "4 Four forms that agree, and three that do not"',
    thread="https://github.com/georg-wolflein/good-features/pull/1",
)
def multiplicative_mask(q, k, v):
    """A mask of ones and zeros asks to be multiplied with. But a score of 0 is a score like any other, with e⁰
    = 1 in the softmax. One of the two documents that this course follows gives this as the formula of masked
    attention.
    """
    return softmax(scores(q, k) * causal.dense(len(q))) @ v


@bug(
    CAUSAL,
    tell_tale="The weights of the future are equal within a row. Make the other scores negative: the future gets most.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "2 Zero in, zero out?"',
    thread="https://github.com/hyunwoongko/transformer/issues/10",
)
def zeroed_scores(q, k, v):
    """*Zero out the future*, says the book, and means its weights. Written down for the scores, it lets the
    future in, with the very numbers of the multiplicative mask. In the thread the fill value was a number
    next to zero.
    """
    masked = np.where(causal.dense(len(q)), scores(q, k), 0)
    return softmax(masked) @ v


@bug(
    LOUD,
    tell_tale="All is well until a hidden score exceeds the others by nearly the constant. Test with loud inputs.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 2, "4 Four forms that agree, and three that do not"',
    thread="https://github.com/nntrainer/nntrainer/issues/4333",
)
def large_negative_number(q, k, v):
    """−10⁴ is as good as −∞, one thinks, and it fits into half precision. It hides a key only as long as its score
    does not exceed the allowed ones by nearly 10⁴. Beyond 10⁴ the hidden key takes most of the weight, and soon all.
    """
    return softmax(scores(q, k) - 1e4 * ~causal.dense(len(q))) @ v


@bug(
    CAUSAL,
    tell_tale="All rows of weights but the last sum to less than one. Give all tokens the same value: other values "
    "come back.",
    passes=equal_values_come_back,
    chapter='Chapter 2, "4 Four forms that agree, and three that do not"',
    thread="https://github.com/huggingface/pytorch-image-models/pull/2236",
)
def masked_after_the_softmax(q, k, v):
    """The mask comes one line too late. All weights of the future are zero, so the picture looks right. But the
    future was in the denominator, and a single number, how much is left for the past, is enough to cheat with: a
    small model learned to foretell the toss of a coin.
    """
    return (softmax(scores(q, k)) * causal.dense(len(q))) @ v


@bug(
    LOUD,
    tell_tale="NaN, or zero divided by zero, as soon as one future score is very large.",
    passes=outputs_are_finite,
    chapter='Chapter 2, "4 Four forms that agree, and three that do not"',
    thread="https://github.com/abisee/pointer-generator/issues/88",
)
def renormalised_after_the_softmax(q, k, v):
    """The repair of the last bug: divide each row by its sum. In exact arithmetic this is masked attention. In
    a computer the past underflows to zero beside a loud future key before the mask comes, and nothing is left
    to divide.
    """
    weights = softmax(scores(q, k)) * causal.dense(len(q))
    return weights / weights.sum(axis=1, keepdims=True) @ v


@bug(
    CAUSAL,
    tell_tale="Columns of weights sum to one, rows do not. Give all tokens the same value: other values come back.",
    passes=equal_values_come_back,
    chapter='Chapter 1, "3 From scores to weights"',
    thread="https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/146",
)
def softmax_over_the_queries(q, k, v):
    """The softmax runs along the wrong axis. On a square matrix every shape is right. Each key now shares
    itself out among the queries, so a past query feels what later queries ask for. In the thread the model
    learned all the same.
    """
    masked = np.where(causal.dense(len(q)), scores(q, k), -np.inf)
    return softmax(masked, axis=0) @ v


@bug(
    CAUSAL,
    tell_tale="Compared with no mask at all, an allowed key only gains a factor e over a hidden one.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/huggingface/transformers/pull/41443",
)
def boolean_mask_added(q, k, v):
    """Some functions take a mask to be added, 0 and −∞, others a mask of booleans. Add the booleans, and Python
    makes ones and zeros of them. Every allowed score grows by 1. Nothing is hidden.
    """
    return softmax(scores(q, k) + causal.dense(len(q))) @ v


@bug(
    CAUSAL,
    tell_tale="Exactly the inverted picture: the future is read, the past is not.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 3, "6 Who means what by True"',
    thread="https://github.com/huggingface/transformers/pull/38094",
)
def additive_mask_made_boolean(q, k, v):
    """The way back is no better. In a mask to be added, 0 means *may attend* and a very negative number means
    *hidden*. As a boolean the number is True and the 0 is False, and True now means *may attend*.
    """
    additive = np.where(causal.dense(len(q)), 0, np.finfo(np.float32).min)
    return attention(q, k, v, additive.astype(bool))


@bug(
    CAPPED,
    tell_tale="All hidden keys of a row have the same weight, and it is not zero. A cap of 50 makes it too small to "
    "see.",
    passes=nothing_hidden_is_read,
    chapter="Chapter 3",
    thread="https://github.com/Dao-AILab/flash-attention/pull/1025",
)
def soft_cap_after_the_mask(q, k, v):
    """Some models keep their scores small with c · tanh(s / c). Put after the mask, it lifts the −∞ of hidden keys to
    −c, which is a score like any other. In the thread the order was put right before the kernel was merged.
    """
    masked = np.where(causal.dense(len(q)), scores(q, k), -np.inf)
    return softmax(capped(masked)) @ v
