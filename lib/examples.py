"""The two examples that every chapter returns to: one sentence, and one matrix of scores.

The sentence has eight tokens. Its vectors are made by hand, with features one can name, so that each
number can be checked on paper; a trained model would learn such vectors, with features nobody names.
"""

import numpy as np

SENTENCE = ("the", "bank", "of", "the", "river", "was", "very", "muddy")

FEATURES = ("thing", "water", "describes", "glue")
# What the two numbers of a query, a key and a value are about.
COORDINATES = ("thing", "water")

# One row per token of SENTENCE, one column per name in FEATURES. Both "the" have the same row.
X = np.array(
    [
        [0.0, 0.0, 0.1, 1.0],
        [1.0, 0.4, 0.0, 0.0],
        [0.1, 0.0, 0.0, 0.9],
        [0.0, 0.0, 0.1, 1.0],
        [0.9, 1.0, 0.0, 0.0],
        [0.0, 0.1, 0.3, 0.7],
        [0.0, 0.0, 0.8, 0.4],
        [0.2, 0.7, 1.0, 0.0],
    ]
)

# Projections of shape (4 features, 2), so that queries, keys and values can be drawn in the plane.
W_Q = np.array(
    [[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [0.5, 0.5]]
)  # what a token looks for
W_K = np.array(
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
)  # what it can be found by
W_V = np.array([[1.0, 0.0], [0.0, 1.0], [-0.5, 0.2], [-0.6, -0.4]])  # what it passes on

# The 3 × 3 matrix of scores in document 000, already divided by √d_k.
S = np.array([[1.0, 0.5, 0.2], [0.8, 1.2, 0.6], [0.4, 0.7, 1.1]])

for _array in (X, W_Q, W_K, W_V, S):
    _array.setflags(
        write=False
    )  # a cell that changes a shared example would change every chapter
