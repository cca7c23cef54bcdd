"""A query that may read nothing.

Padding on the left, packed documents and strict masks make rows without a key. What is the mean of no
values? The course says zero. The bugs say something else, and mostly in silence.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import EMPTY_ROWS, LEFT_PADDED, scores
from lib.bugs.tell_tales import outputs_are_finite, rows_without_keys_are_zero
from lib.masks import causal
from lib.numpy_attention import softmax


@bug(
    EMPTY_ROWS,
    tell_tale="Rows that should be empty hold the mean of all values, future included.",
    passes=rows_without_keys_are_zero,
    chapter='Chapter 3, "4 Rows with nothing left to read"',
    thread="https://github.com/d2l-ai/d2l-en/pull/2423",
)
def uniform_empty_row(q, k, v):
    """Hidden scores are filled with a large negative number. Where all are hidden, all are equal, and the
    softmax of equal scores is uniform, however negative they are. The row reads every token, and nobody is
    told.
    """
    masked = np.where(LEFT_PADDED.dense(len(q)), scores(q, k), -1e9)
    return softmax(masked) @ v


@bug(
    EMPTY_ROWS,
    tell_tale="NaN in the outputs of padding and, after one step of training, in all outputs.",
    passes=outputs_are_finite,
    chapter='Chapter 3, "4 Rows with nothing left to read"',
    thread="https://github.com/pytorch/pytorch/issues/41508",
)
def nan_row(q, k, v):
    """With −∞ instead, the textbook's softmax divides zero by zero. The loss leaves these rows out, so all
    seems well. But in the backward pass zero times NaN is NaN, and one padded text spoils weights that all
    texts share.
    """
    masked = np.where(LEFT_PADDED.dense(len(q)), scores(q, k), -np.inf)
    exponentials = np.exp(masked - masked.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True) @ v


@bug(
    EMPTY_ROWS,
    tell_tale="Rows that should be empty read the tokens that only one of the masks hides.",
    passes=rows_without_keys_are_zero,
    chapter='Chapter 3, "4 Rows with nothing left to read"',
    thread="https://github.com/NVIDIA-NeMo/Automodel/pull/2658",
)
def lowest_number_added_twice(q, k, v):
    """To be safe from NaN, the lowest number that the dtype can hold stands for −∞. Then a causal mask and a
    padding mask are both added, and twice the lowest number overflows to −∞ after all. In a row without keys,
    what is hidden once now wins over what is hidden twice. Join masks as booleans, apply them once.
    """
    n, lowest = len(q), np.finfo(np.float32).min
    future = np.where(causal.dense(n), np.float32(0), lowest)
    filler = np.where(LEFT_PADDED.dense(n).any(axis=0), np.float32(0), lowest)
    masked = scores(q, k).astype(np.float32) + (future + filler)
    exponentials = np.exp(masked - masked.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True) @ v
