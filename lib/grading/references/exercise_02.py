"""Points, reference answers and known mistakes of exercise 02.

Generated from solutions/02_the_masking_lemma.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.examples import S
from lib.grading.known import answered_by_attention, answered_by_mask, mistake
from lib.grading.personal import own_numbers
from lib.masks import causal
from lib.numpy_attention import attention, softmax

CHAPTER = "02_the_masking_lemma"
TITLE = "The masking lemma"
TITLES = {
    "2.1": "From memory: the causal mask",
    "2.2": "The worked example, put right",
    "2.3": "One mask, three dialects",
    "2.4": "Fewer queries than keys",
    "2.5": "Find the bug",
    "2.6": "Break the multiplicative mask with an input",
    "2.7": "Diagnosis",
}
POINTS = {
    "2.1": 2,
    "2.2": 2,
    "2.3": 2,
    "2.4": 2,
    "2.5": 3,
    "2.6": 3,
    "2.7": 4,
}


student_id = ""


def causal_mask(n):
    """Which query (row) may read which key (column); True means may attend.

    >>> causal_mask(1)
    array([[ True]])
    >>> causal_mask(4).dtype, causal_mask(4).shape
    (dtype('bool'), (4, 4))
    """
    i, j = np.ogrid[:n, :n]  # a column of queries, a row of keys
    return j <= i


def count_pairs(n):
    """How many pairs (query, key) the causal mask of n tokens allows.

    >>> count_pairs(1)
    1
    """
    return n * (n + 1) // 2  # 1 + 2 + … + n


mistakes_2_1 = [
    answered_by_mask("causal_mask")(lambda allowed: lambda n: allowed(n, n)),
    mistake("causal_mask", "only the own key", "Every query reads itself and nothing else. It may read all earlier keys too.")(lambda n: np.eye(n, dtype=bool)),
    mistake("count_pairs", "all pairs", "That is the number of all pairs. The causal mask allows those on and below the diagonal.")(lambda n: n * n),
    mistake("count_pairs", "diagonal left out", "That is the number of pairs below the diagonal. The n pairs on the diagonal are allowed too.")(lambda n: n * (n - 1) // 2),
    mistake("count_pairs", "half of all pairs", "Half of n² counts only half of the diagonal. All n pairs of the diagonal are allowed.")(lambda n: n * n / 2),
    mistake("count_pairs", "not halved", "You counted every pair off the diagonal twice: 1 + 2 + … + n is half of n (n + 1).")(lambda n: n * (n + 1)),
]


def masked_weights(scores):
    """The weights of causal attention from its scores.

    >>> masked_weights(S).round(4)
    array([[1.    , 0.    , 0.    ],
           [0.4013, 0.5987, 0.    ],
           [0.2292, 0.3093, 0.4615]])
    """
    allowed = np.tri(len(scores), dtype=bool)
    # Fill before the softmax. Filling, unlike adding, is safe whatever the hidden score was.
    return softmax(np.where(allowed, scores, -np.inf))


def future_filled(scores, value):
    return np.where(np.tri(len(scores), dtype=bool), scores, value)


mistakes_2_2 = [
    answered_by_attention("masked_weights")(lambda attend: lambda scores: attend(scores * np.sqrt(len(scores)), np.eye(len(scores)), np.eye(len(scores)))),
    mistake("masked_weights", "the printed numbers", "These are the numbers that the document prints, and they are wrong. Compute: in row two the ratio of the weights must be e^(1.2 − 0.8).")(lambda scores: np.array([[1.0, 0.0, 0.0], [0.35, 0.65, 0.0], [0.15, 0.27, 0.58]])),
    mistake("masked_weights", "scores set to zero", "A score of 0 is not silence: e⁰ = 1, so every future key still takes part. A hidden score must be −∞.", bug="zeroed_scores")(lambda scores: softmax(future_filled(scores, 0.0))),
    mistake("masked_weights", "nothing masked", "This is the softmax of the bare scores: every query still reads the future.", bug="mask_thrown_away")(lambda scores: softmax(scores)),
    mistake("masked_weights", "mask that comes too late", "Right for ordinary scores, but you mask after the exponential: here a future score is 1000, and what is left of the row is 0/0 or inf · 0. Fill in −∞ before the softmax.", bug="renormalised_after_the_softmax")(lambda scores: (w := softmax(scores) * np.tri(len(scores))) / w.sum(axis=1, keepdims=True)),
    mistake("masked_weights", "large negative number for −∞", "You fill in −10⁹. Here the allowed score is that small too, so the hidden key gets half of the weight. Only −∞ is below every score.", bug="large_negative_number")(lambda scores: softmax(future_filled(scores, -1e9))),
    mistake("masked_weights", "overflow", "exp of a large score overflows to inf, exp of a very negative one is 0, and both inf/inf and 0/0 are NaN. Subtract the largest allowed score of the row first.")(lambda scores: (e := np.exp(future_filled(scores, -np.inf))) / e.sum(axis=1, keepdims=True)),
    mistake("masked_weights", "softmax forgotten", "These are the masked scores, and rightly masked. The weights are their softmax, row by row.")(lambda scores: future_filled(scores, -np.inf)),
    mistake("masked_weights", "multiplied by 0 and −∞", "The future is hidden, but every query reads its past evenly: the scores that it may read became 0, as if multiplied by the 0 of the additive mask. Add that mask, or fill −∞ in.")(lambda scores: softmax(future_filled(np.zeros_like(scores), -np.inf))),
    mistake("masked_weights", "some other large number for −∞", "You fill in, or add, a large negative number. Here the allowed score is more negative still, so the hidden key gets all the weight. Only −∞ is below every score.", bug="large_negative_number")(lambda scores: softmax(future_filled(scores, -1e30))),
    mistake("masked_weights", "sums of rows laid along the columns", "`sum(axis=1)` is a vector with one sum for each row, and NumPy lays it along the columns. With `keepdims=True` it stays a column, and each row is divided by its own sum.")(lambda scores: (e := np.exp(future_filled(scores, -np.inf))) / e.sum(axis=1)),
    mistake("masked_weights", "no exponential", "You divided the scores by their sum. Softmax takes the exponential of each score first.")(lambda scores: np.tril(scores) / np.tril(scores).sum(axis=1, keepdims=True)),
]


def to_sdpa(blocked):
    """The mask of document 004 (True: blocked) for F.scaled_dot_product_attention.

    >>> to_sdpa(np.array([[False, True], [False, False]]))
    array([[ True, False],
           [ True,  True]])
    """
    return ~blocked


def to_additive(allowed):
    """The mask of F.scaled_dot_product_attention as floats to be added to the scores.

    >>> to_additive(np.array([[True, False], [True, True]]))
    array([[  0., -inf],
           [  0.,   0.]], dtype=float32)
    """
    # np.where takes one of two values. ~allowed * -np.inf would compute 0 · ∞, which is NaN.
    return np.where(allowed, np.float32(0), np.float32(-np.inf))


mistakes_2_3 = [
    mistake("to_sdpa", "polarity not changed", "The mask is unchanged, so True still says blocked. Here True must say may attend: the future would be all that is read.", bug="inverted_mask")(lambda blocked: blocked),
    mistake("to_sdpa", "transposed", "You exchanged queries and keys. That also moves the triangle, but a row must stay a query: change True and False instead.", bug="transposed_mask")(lambda blocked: blocked.T),
    mistake("to_additive", "large negative number for −∞", "You put −10⁹ in place of −∞. It hides a key only beside scores that are much larger. Put −∞.", bug="large_negative_number")(lambda allowed: np.where(allowed, np.float32(0), np.float32(-1e9))),
    mistake("to_additive", "smallest float for −∞", "You put the smallest float32 in place of −∞. Where a whole row is blocked, the softmax is then uniform, as if nothing were. Put −∞.")(lambda allowed: np.where(allowed, np.float32(0), np.finfo(np.float32).min)),
    mistake("to_additive", "multiplied by infinity", "You multiplied by −∞, and 0 · ∞ is NaN: every allowed pair is lost. Choose one of two values, with `np.where`.")(lambda allowed: ~allowed * np.float32(-np.inf)),
    mistake("to_additive", "zeros and ones", "These are ones and zeros. Added to the scores, a 0 hides nothing: e⁰ = 1. A hidden pair needs −∞.", bug="boolean_mask_added")(lambda allowed: allowed.astype(np.float32)),
    mistake("to_additive", "sign turned around", "You put +∞ at the hidden pairs. Then they take all the weight, and ∞/∞ is NaN. Put −∞.")(lambda allowed: np.where(allowed, np.float32(0), np.float32(np.inf))),
    mistake("to_additive", "wrong type of float", "The values are right, but as float64. The scores are float32, and PyTorch refuses a mask of another float type.")(lambda allowed: np.where(allowed, 0.0, -np.inf)),
    mistake("to_additive", "left as booleans", "These are still booleans. If you began with `np.zeros_like(allowed)`: that makes booleans too, and −∞ put there becomes True. Begin with `dtype=np.float32`.")(lambda allowed: ~allowed),
]


def attention_of_004(query, key, value, blocked):
    """Document 004's attention: True means blocked. Tensors (tokens, features)."""
    scores = query @ key.T / query.shape[-1] ** 0.5
    return scores.masked_fill(blocked, float("-inf")).softmax(dim=-1) @ value


def chunk_mask(n_q, n_k):
    """The causal mask of the last n_q of n_k positions.

    >>> chunk_mask(2, 4).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    position = np.arange(n_k - n_q, n_k)[:, None]  # where each query stands in the text
    return np.arange(n_k) <= position


mistakes_2_4 = [
    answered_by_mask("chunk_mask")(lambda allowed: lambda n_q, n_k: allowed(n_q, n_k)),
    mistake("chunk_mask", "queries and keys exchanged", "Your mask has a row for each key. Rows are queries, columns are keys: the shape is (n_q, n_k).")(lambda n_q, n_k: np.tri(n_q, n_k, n_k - n_q, dtype=bool).T),
    mistake("chunk_mask", "cache forgotten", "Your mask knows only the keys of the chunk itself. The earlier keys, in the cache, are columns too.")(lambda n_q, n_k: np.tri(n_q, dtype=bool)),
    mistake("chunk_mask", "cache hidden", "Inside the chunk this is right, but the earlier keys are hidden. They lie in the past: every query may read them.")(lambda n_q, n_k: np.tri(n_q, n_k, n_k - n_q, dtype=bool) & (np.arange(n_k) >= n_k - n_q)),
    mistake("chunk_mask", "shift in the wrong direction", "You moved the triangle to the left, so most queries read nothing. All may read the earlier keys: move it right.")(lambda n_q, n_k: np.tri(n_q, n_k, n_q - n_k, dtype=bool)),
]


def suspect_attention(q, k, v, training):
    """Causal attention of the last len(q) tokens, or so its author believes."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    if training:  # in use, the words that would follow do not exist yet
        for row, own in zip(scores, range(len(k) - len(q), len(k)), strict=True):
            row[own + 1 :] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def fixed_attention(q, k, v, training):
    """Causal attention of the last len(q) of len(k) tokens.

    >>> zeros = np.zeros((2, 1))
    >>> fixed_attention(zeros, zeros, np.array([[1.0], [3.0]]), training=True)
    array([[1.],
           [2.]])
    """
    scores = q @ k.T / np.sqrt(q.shape[1])
    # Whoever calls: a query with keys after it must not read them.
    allowed = np.tri(len(q), len(k), len(k) - len(q), dtype=bool)
    scores = np.where(allowed, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


# Two tokens, all scores 0, not training: token 0 puts half of its weight on token 1.
breaking_call = (np.zeros((2, 1)), np.zeros((2, 1)), np.array([[1.0], [3.0]]), False)


def all_scores(q, k):
    return q @ k.T / np.sqrt(q.shape[1])


def attention_of(scores, v):
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=1, keepdims=True) @ v


def allowed_in(q, k):
    return np.tri(len(q), len(k), len(k) - len(q), dtype=bool)


mistakes_2_5 = [
    answered_by_attention("fixed_attention")(lambda attend: lambda q, k, v, training: attend(q, k, v)),
    mistake("fixed_attention", "bug still there", "This gives the same as the suspect: without training, nothing is masked. A text that is evaluated is there as a whole, too.", bug="masked_only_in_training")(lambda q, k, v, training: suspect_attention(q, k, v, training)),
    mistake("fixed_attention", "mask removed in training", "Now nothing is masked in training, where the suspect was right. The future must be hidden in both modes.", bug="mask_thrown_away")(lambda q, k, v, training: attention_of(all_scores(q, k), v)),
    mistake("fixed_attention", "scores set to zero", "A score of 0 is not silence: e⁰ = 1, so every future key still takes part. The blocked scores must be −∞.", bug="zeroed_scores")(lambda q, k, v, training: attention_of(all_scores(q, k) * allowed_in(q, k), v)),
    mistake("fixed_attention", "mask turned around", "The mask is inverted: what was allowed is blocked now, and every query reads its future alone. Where there is none, 0/0 is NaN.", bug="inverted_mask")(lambda q, k, v, training: attention_of(np.where(allowed_in(q, k), -np.inf, all_scores(q, k)), v)),
    mistake("fixed_attention", "scale forgotten", "The mask is right, but the scores are no longer divided by √d_k.")(lambda q, k, v, training: fixed_attention(q * np.sqrt(q.shape[1]), k, v, training)),
]


def multiplied_attention(q, k, v):
    """The formula of document 004: scores times the mask of zeros and ones."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    return softmax(scores * np.tri(len(scores))) @ v


def row_of(student_id):
    """A score in tenths and a number of future keys, both of your own."""
    [tenths] = own_numbers(student_id, "2.6 score", count=1, low=16, high=24)
    [future] = own_numbers(student_id, "2.6 future", count=1, low=2, high=4)
    return tenths / 10, future


my_score, my_future = row_of(student_id)


# One key brings e^score, each of the others e^0 = 1.
my_leak = my_future / (np.exp(my_score) + my_future)


# As many future tokens as allowed, and an own score as small as allowed: 1 · (−1).
before = (np.ones((8, 1)), -np.ones((8, 1)), np.full((8, 1), -1.0))
# Every value of the future goes from one end to the other.
after = (*before[:2], np.array([[-1.0]] + 7 * [[1.0]]))


def own_leak(student_id):
    score, future = row_of(student_id)
    return future / (np.exp(score) + future)


mistakes_2_6 = [
    mistake("my_leak", "exponential forgotten", "Your own key enters with its score. Softmax adds up exponentials: it brings e^score.")(lambda student_id: (lambda score, future: future / (score + future))(*row_of(student_id))),
    mistake("my_leak", "weight of the past", "This is the weight that stays on the query's own key. The leak is what is missing to 1.")(lambda student_id: 1 - own_leak(student_id)),
    mistake("my_leak", "ones forgotten in the denominator", "You divided by e^score alone. The ones of the future stand in the denominator too.")(lambda student_id: (lambda score, future: future / np.exp(score))(*row_of(student_id))),
    mistake("my_leak", "own score replaced too", "You let every key count alike. The mask replaces the scores of the future alone; the query keeps its own score.")(lambda student_id: (lambda score, future: future / (1 + future))(*row_of(student_id))),
    mistake("my_leak", "no leak", "That is the leak under −∞. Document 004 multiplies: a hidden score becomes 0, and e⁰ = 1.")(lambda student_id: 0),
    mistake("my_leak", "one key too many", "You counted one future key too many.")(lambda student_id: (lambda score, future: (future + 1) / (np.exp(score) + future + 1))(*row_of(student_id))),
]


four_scores = np.array(
    [
        [0.0, 2.0, 1.0, -1.0],
        [1.0, 0.0, 0.0, 2.0],
        [-1.0, 1.0, 0.0, 1.0],
        [0.0, 1.0, -2.0, 0.0],
    ]
)
four_values = np.array([1.0, 2.0, 4.0, 8.0])
outputs = {
    "A": np.array([2.373, 4.106, 3.501, 3.086]),
    "B": np.array([0.087, 0.39, 1.441, 3.086]),
    "C": np.array([1.881, 1.269, 4.637, 3.086]),
    "D": np.array([3.75, 2.924, 3.501, 3.086]),
}


diagnosis = (4, 2, 6, 1)


def shared_out(scores):
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


FOUR = np.tri(4, dtype=bool)
SUSPECTS = {
    1: lambda scores, v: shared_out(scores * FOUR) @ v,
    2: lambda scores, v: shared_out(scores) * FOUR @ v,
    3: lambda scores, v: shared_out(scores - 2.0 * ~FOUR) @ v,
    4: lambda scores, v: shared_out(scores + FOUR) @ v,
    5: lambda scores, v: shared_out(np.where(np.tri(4, k=1), scores, -np.inf)) @ v,
    6: lambda scores, v: (
        shared_out(np.where(np.kron(np.tri(2), np.ones((2, 2))), scores, -np.inf)) @ v
    ),
    7: lambda scores, v: shared_out(np.where(FOUR.T, scores, -np.inf)) @ v,
}
