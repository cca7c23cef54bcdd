"""Points, reference answers and known mistakes of exercise 02.

Generated from solutions/02_the_masking_lemma.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# ruff: noqa: F401 (some names serve the checks, which run with the names of this module)

import numpy as np
import torch
import torch.nn.functional as F

from lib.examples import S
from lib.grading.known import answered_by_attention, mistake
from lib.grading.personal import own_numbers
from lib.masks import causal
from lib.numpy_attention import attention, softmax

CHAPTER = "02_the_masking_lemma"
TITLE = "The masking lemma"
TITLES = {
    "2.1": "From memory: the causal mask",
    "2.2": "The worked example, put right",
    "2.3": "The leak of the multiplicative mask",
    "2.4": "Fewer queries than keys",
    "2.5": "One mask, three dialects",
    "2.6": "Find the bug",
    "2.7": "Break the multiplicative mask with an input",
}
POINTS = {
    "2.1": 2,
    "2.2": 2,
    "2.3": 3,
    "2.4": 2,
    "2.5": 3,
    "2.6": 3,
    "2.7": 3,
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


@mistake(
    "causal_mask",
    "own position left out",
    "You used j < i, so no query reads itself and query 0 reads nothing. The causal mask is j ≤ i.",
    bug="own_position_left_out",
)
def strict_mask(n):
    return np.tri(n, k=-1, dtype=bool)


@mistake(
    "causal_mask",
    "turned around",
    "The triangle is turned around: query 0 reads every key, the last query only itself. Rows are queries: keep j ≤ i.",
    bug="transposed_mask",
)
def upper_triangle(n):
    return np.tri(n, dtype=bool).T


@mistake(
    "causal_mask",
    "True for blocked",
    "Here True stands for the pairs that are blocked. In this course True means may attend: turn every value around.",
    bug="inverted_mask",
)
def blocked_mask(n):
    return ~np.tri(n, dtype=bool)


@mistake(
    "causal_mask",
    "additive mask",
    "This is the matrix of 0 and −∞ that one adds to the scores. Asked is the rule itself: True where query i may "
    "read key j.",
)
def additive_mask(n):
    return np.where(np.tri(n, dtype=bool), 0.0, -np.inf)


@mistake(
    "causal_mask",
    "numbers for booleans",
    "The pattern is right, but it is made of the numbers 0.0 and 1.0. PyTorch would add them to the scores, which "
    "masks nothing. Make booleans, for example with `dtype=bool`.",
)
def number_mask(n):
    return np.tri(n)


@mistake(
    "causal_mask",
    "block mask",
    "You compare blocks of two positions, so the first query of a block reads the second one's key: one token of the "
    "future. Compare the positions themselves.",
    bug="block_mask_for_causal",
)
def block_mask(n):
    blocks = np.arange(n) // 2
    return blocks[:, None] >= blocks


@mistake(
    "causal_mask",
    "one position too far",
    "Every query may read one key of the future, the next one. The causal mask is j ≤ i.",
    bug="looks_one_ahead",
)
def one_key_ahead(n):
    return np.tri(n, k=1, dtype=bool)


@mistake(
    "causal_mask",
    "everything allowed",
    "Every query may read every key: nothing is masked.",
    bug="mask_thrown_away",
)
def no_mask(n):
    return np.ones((n, n), dtype=bool)


@mistake(
    "causal_mask",
    "only the own key",
    "Every query reads itself and nothing else. It may read all earlier keys too.",
)
def own_key_only(n):
    return np.eye(n, dtype=bool)


@mistake(
    "count_pairs",
    "all pairs",
    "That is the number of all pairs. The causal mask allows those on and below the diagonal.",
)
def all_pairs(n):
    return n * n


@mistake(
    "count_pairs",
    "diagonal left out",
    "That is the number of pairs below the diagonal. The n pairs on the diagonal are allowed too.",
)
def pairs_below_the_diagonal(n):
    return n * (n - 1) // 2


@mistake(
    "count_pairs",
    "half of all pairs",
    "Half of n² counts only half of the diagonal. All n pairs of the diagonal are allowed.",
)
def half_of_all_pairs(n):
    return n * n / 2


@mistake(
    "count_pairs",
    "not halved",
    "You counted every pair off the diagonal twice: 1 + 2 + … + n is half of n (n + 1).",
)
def not_halved(n):
    return n * (n + 1)


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


@answered_by_attention("masked_weights")
def masked_weights_of(attend):
    def answer(scores):
        identity = np.eye(len(scores))
        return attend(scores * np.sqrt(len(scores)), identity, identity)

    return answer


def future_filled(scores, value):
    return np.where(np.tri(len(scores), dtype=bool), scores, value)


@mistake(
    "masked_weights",
    "the printed numbers",
    "These are the numbers that the document prints, and they are wrong. Compute: in row two the ratio of the weights "
    "must be e^(1.2 − 0.8).",
)
def printed_numbers(scores):
    return np.array([[1.0, 0.0, 0.0], [0.35, 0.65, 0.0], [0.15, 0.27, 0.58]])


@mistake(
    "masked_weights",
    "scores set to zero",
    "A score of 0 is not silence: e⁰ = 1, so every future key still takes part. A hidden score must be −∞.",
    bug="zeroed_scores",
)
def zeroed_scores(scores):
    return softmax(future_filled(scores, 0.0))


@mistake(
    "masked_weights",
    "masked after the softmax",
    "The future has weight 0, but it was in the denominator: your rows sum to less than 1. Mask before the softmax.",
    bug="masked_after_the_softmax",
)
def masked_after_the_softmax(scores):
    return np.tril(softmax(scores))


@mistake(
    "masked_weights",
    "softmax over the queries",
    "Your columns sum to 1. Every query shares out its own weight over the keys, so the rows must sum to 1: axis 1.",
    bug="softmax_over_the_queries",
)
def softmax_over_the_queries(scores):
    return softmax(future_filled(scores, -np.inf), axis=0)


@mistake(
    "masked_weights",
    "nothing masked",
    "This is the softmax of the bare scores: every query still reads the future.",
    bug="mask_thrown_away",
)
def nothing_masked(scores):
    return softmax(scores)


@mistake(
    "masked_weights",
    "mask turned around",
    "Your first query reads every key and your last one only itself. Rows are queries: keep j ≤ i.",
    bug="transposed_mask",
)
def mask_turned_around(scores):
    return softmax(np.where(np.tri(len(scores), dtype=bool).T, scores, -np.inf))


@mistake(
    "masked_weights",
    "own position left out",
    "The diagonal is masked too: no query reads itself, and the first one reads nothing. Mask j > i, not j ≥ i.",
    bug="own_position_left_out",
)
def diagonal_masked(scores):
    return softmax(np.where(np.tri(len(scores), k=-1, dtype=bool), scores, -np.inf))


@mistake(
    "masked_weights",
    "mask that comes too late",
    "Right for ordinary scores, but you mask after the exponential: here a future score is 1000, and what is left of "
    "the row is 0/0 or inf · 0. Fill in −∞ before the softmax.",
    bug="renormalised_after_the_softmax",
)
def mask_too_late(scores):
    weights = softmax(scores) * np.tri(len(scores))
    return weights / weights.sum(axis=1, keepdims=True)


@mistake(
    "masked_weights",
    "large negative number for −∞",
    "You fill in −10⁹. Here the allowed score is that small too, so the hidden key gets half of the weight. Only −∞ is "
    "below every score.",
    bug="large_negative_number",
)
def large_negative_number(scores):
    return softmax(future_filled(scores, -1e9))


@mistake(
    "masked_weights",
    "overflow",
    "exp of a large score overflows to inf, exp of a very negative one is 0, and both inf/inf and 0/0 are NaN. "
    "Subtract the largest allowed score of the row first.",
)
def overflow(scores):
    exponentials = np.exp(future_filled(scores, -np.inf))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@mistake(
    "masked_weights",
    "softmax forgotten",
    "These are the masked scores, and rightly masked. The weights are their softmax, row by row.",
)
def masked_scores(scores):
    return future_filled(scores, -np.inf)


@mistake(
    "masked_weights",
    "multiplied by 0 and −∞",
    "The future is hidden, but every query reads its past evenly: the scores that it may read became 0, as if "
    "multiplied by the 0 of the additive mask. Add that mask, or fill −∞ in.",
)
def multiplied_by_the_additive_mask(scores):
    return softmax(future_filled(np.zeros_like(scores), -np.inf))


@mistake(
    "masked_weights",
    "some other large number for −∞",
    "You fill in, or add, a large negative number. Here the allowed score is more negative still, so the hidden key "
    "gets all the weight. Only −∞ is below every score.",
    bug="large_negative_number",
)
def some_large_number(scores):
    return softmax(future_filled(scores, -1e30))


@mistake(
    "masked_weights",
    "sums of rows laid along the columns",
    "`sum(axis=1)` is a vector with one sum for each row, and NumPy lays it along the columns. With `keepdims=True` it "
    "stays a column, and each row is divided by its own sum.",
)
def sums_along_the_columns(scores):
    exponentials = np.exp(future_filled(scores, -np.inf))
    return exponentials / exponentials.sum(axis=1)


@mistake(
    "masked_weights",
    "no exponential",
    "You divided the scores by their sum. Softmax takes the exponential of each score first.",
)
def no_exponential(scores):
    return np.tril(scores) / np.tril(scores).sum(axis=1, keepdims=True)


def leak(scores):
    """The weight on the future, row by row, when the scores are multiplied by the mask.

    >>> leak(S).round(4)
    array([0.4239, 0.1528, 0.    ])
    >>> leak(np.zeros((4, 4)))  # all scores 0: every key gets 1/4
    array([0.75, 0.5 , 0.25, 0.  ])
    """
    n = len(scores)
    future = n - np.arange(1, n + 1)  # how many keys lie after each query
    past = np.tril(np.exp(scores)).sum(axis=1)  # Σ e^s over the keys j ≤ i
    return future / (past + future)


def row_of(student_id):
    """A score in tenths and a number of future keys, both of your own."""
    [tenths] = own_numbers(student_id, "2.3 score", count=1, low=5, high=15)
    [future] = own_numbers(student_id, "2.3 future", count=1, low=2, high=9)
    return tenths / 10, future


my_score, my_future = row_of(student_id)


# One key brings e^score, each of the others e^0 = 1.
my_leak = my_future / (np.exp(my_score) + my_future)


def past_and_future(scores):
    n = len(scores)
    return np.tril(np.exp(scores)).sum(axis=1), n - np.arange(1, n + 1)


@mistake(
    "leak",
    "past keys counted",
    "You counted the i keys of the past. The ones in the numerator are those of the n − i keys of the future.",
)
def past_keys_counted(scores):
    past, future = past_and_future(scores)
    keys = len(scores) - future
    return keys / (past + keys)


@mistake(
    "leak",
    "numerator of the past",
    "Your denominator is right, but the numerator has i ones. The future has n − i keys.",
)
def numerator_of_the_past(scores):
    past, future = past_and_future(scores)
    return (len(scores) - future) / (past + future)


@mistake(
    "leak",
    "ones forgotten in the denominator",
    "You divided by the sum over the past alone. The ones of the future stand in the denominator too.",
)
def ones_forgotten(scores):
    past, future = past_and_future(scores)
    return future / past


@mistake(
    "leak",
    "one key too many",
    "You counted one future key too many: code counts rows from 0, so row i has n − 1 − i keys after it.",
)
def one_key_too_many(scores):
    past, future = past_and_future(scores)
    return (future + 1) / (past + future + 1)


@mistake(
    "leak",
    "whole row",
    "You added up the whole row, which always sums to 1. The leak is the weight on the keys j > i only.",
)
def whole_row(scores):
    return softmax(np.tril(scores)).sum(axis=1)


@mistake(
    "leak",
    "weight of the past",
    "This is the weight that stays on the past and the present. The leak is what is missing to 1.",
)
def weight_of_the_past(scores):
    return 1 - leak(scores)


@mistake(
    "leak",
    "no mask at all",
    "This is the weight on the future without any mask. Under the multiplicative mask a future score counts as 0, "
    "whatever it was.",
)
def leak_without_mask(scores):
    return np.triu(softmax(scores), 1).sum(axis=1)


@mistake(
    "leak",
    "no leak",
    "You filled in −∞, and so nothing leaks. Document 004 multiplies: a hidden score becomes 0.",
)
def leak_of_the_right_mask(scores):
    return np.triu(masked_weights(scores), 1).sum(axis=1)


@mistake(
    "leak",
    "exponential forgotten",
    "The past enters your denominator with its scores, or with ones. Softmax adds up exponentials: every key of the "
    "past brings e^s.",
)
def exponential_forgotten(scores):
    _, future = past_and_future(scores)
    return future / (np.tril(scores).sum(axis=1) + future)


@mistake(
    "leak",
    "own position left out",
    "Your sum over the past leaves out the query's own key. It runs over j ≤ i.",
)
def own_key_forgotten(scores):
    past, future = past_and_future(scores)
    past = past - np.exp(np.diagonal(scores))
    return future / (past + future)


@mistake(
    "leak",
    "ones counted twice",
    "The ones of the future stand in your denominator twice: exp of a score that was set to 0 is already a 1.",
)
def ones_counted_twice(scores):
    past, future = past_and_future(scores)
    return future / (past + 2 * future)


@mistake(
    "leak",
    "scores of the future in the denominator",
    "Your denominator adds up e^s over the whole row, and the ones as well. The mask has replaced the scores of the "
    "future by 0: e^s runs over j ≤ i only.",
)
def future_scores_in_the_denominator(scores):
    _, future = past_and_future(scores)
    return future / (np.exp(scores).sum(axis=1) + future)


@mistake(
    "leak",
    "own key counted as future",
    "You added up the diagonal too: the query's own key is no future. `np.triu(weights, 1)` begins above the diagonal.",
)
def own_key_counted(scores):
    return np.triu(softmax(np.tril(scores))).sum(axis=1)


def own_leak(student_id):
    score, future = row_of(student_id)
    return future / (np.exp(score) + future)


@mistake(
    "my_leak",
    "exponential forgotten",
    "Your own key enters with its score. Softmax adds up exponentials: it brings e^score.",
)
def own_exponential_forgotten(student_id):
    score, future = row_of(student_id)
    return future / (score + future)


@mistake(
    "my_leak",
    "weight of the past",
    "This is the weight that stays on the query's own key. The leak is what is missing to 1.",
)
def own_weight_that_stays(student_id):
    return 1 - own_leak(student_id)


@mistake(
    "my_leak",
    "ones forgotten in the denominator",
    "You divided by e^score alone. The ones of the future stand in the denominator too.",
)
def own_ones_forgotten(student_id):
    score, future = row_of(student_id)
    return future / np.exp(score)


@mistake(
    "my_leak",
    "own score replaced too",
    "You let every key count alike. The mask replaces the scores of the future alone; the query keeps its own score.",
)
def own_score_replaced(student_id):
    _, future = row_of(student_id)
    return future / (1 + future)


@mistake(
    "my_leak",
    "no leak",
    "That is the leak under −∞. Document 004 multiplies: a hidden score becomes 0, and e⁰ = 1.",
)
def own_leak_of_the_right_mask(student_id):
    return 0


@mistake(
    "my_leak",
    "one key too many",
    "You counted one future key too many.",
)
def own_key_too_many(student_id):
    score, future = row_of(student_id)
    return (future + 1) / (np.exp(score) + future + 1)


def chunk_mask(n_q, n_k):
    """The causal mask of the last n_q of n_k positions.

    >>> chunk_mask(2, 4).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    position = np.arange(n_k - n_q, n_k)[:, None]  # where each query stands in the text
    return np.arange(n_k) <= position


@mistake(
    "chunk_mask",
    "top-left alignment",
    "Your triangle starts at the top left, as if the queries were the first positions of the text. They are the last: "
    "the last query must read every key.",
    bug="top_left_with_a_cache",
)
def top_left(n_q, n_k):
    return np.tri(n_q, n_k, dtype=bool)


@mistake(
    "chunk_mask",
    "own position left out",
    "Your last query does not read the last key, which is its own. A query may read its own position.",
    bug="own_position_left_out",
)
def strict_chunk(n_q, n_k):
    return np.tri(n_q, n_k, n_k - n_q - 1, dtype=bool)


@mistake(
    "chunk_mask",
    "one position too far",
    "Every query may read one key of the future. Row r stands at position n_k − n_q + r, and reads up to there.",
    bug="looks_one_ahead",
)
def one_too_far(n_q, n_k):
    return np.tri(n_q, n_k, n_k - n_q + 1, dtype=bool)


@mistake(
    "chunk_mask",
    "True for blocked",
    "Here True stands for the pairs that are blocked. In this course True means may attend.",
    bug="inverted_mask",
)
def blocked_chunk(n_q, n_k):
    return ~np.tri(n_q, n_k, n_k - n_q, dtype=bool)


@mistake(
    "chunk_mask",
    "queries and keys exchanged",
    "Your mask has a row for each key. Rows are queries, columns are keys: the shape is (n_q, n_k).",
)
def exchanged(n_q, n_k):
    return np.tri(n_q, n_k, n_k - n_q, dtype=bool).T


@mistake(
    "chunk_mask",
    "cache forgotten",
    "Your mask knows only the keys of the chunk itself. The earlier keys, in the cache, are columns too.",
)
def cache_forgotten(n_q, n_k):
    return np.tri(n_q, dtype=bool)


@mistake(
    "chunk_mask",
    "cache hidden",
    "Inside the chunk this is right, but the earlier keys are hidden. They lie in the past: every query may read them.",
)
def cache_hidden(n_q, n_k):
    return np.tri(n_q, n_k, n_k - n_q, dtype=bool) & (np.arange(n_k) >= n_k - n_q)


@mistake(
    "chunk_mask",
    "everything allowed",
    "With one query that is right: nothing comes after the last token. With more, the first queries would read the "
    "keys of later ones.",
    bug="mask_thrown_away",
)
def all_allowed(n_q, n_k):
    return np.ones((n_q, n_k), dtype=bool)


@mistake(
    "chunk_mask",
    "shift in the wrong direction",
    "You moved the triangle to the left, so most queries read nothing. All may read the earlier keys: move it right.",
)
def shifted_left(n_q, n_k):
    return np.tri(n_q, n_k, n_q - n_k, dtype=bool)


def to_sdpa(blocked):
    """The mask of document 004 (True: blocked) for F.scaled_dot_product_attention.

    >>> to_sdpa(np.array([[False, True], [False, False]]))
    array([[ True, False],
           [ True,  True]])
    """
    return ~blocked


def to_mha(allowed):
    """The mask of F.scaled_dot_product_attention for nn.MultiheadAttention.

    >>> to_mha(np.array([[True, False], [True, True]]))
    array([[False,  True],
           [False, False]])
    """
    return ~allowed


def to_additive(blocked):
    """The boolean mask of nn.MultiheadAttention as floats to be added to the scores.

    >>> to_additive(np.array([[False, True], [False, False]]))
    array([[  0., -inf],
           [  0.,   0.]], dtype=float32)
    """
    # np.where takes one of two values. blocked * -np.inf would compute 0 · ∞, which is NaN.
    return np.where(blocked, np.float32(-np.inf), np.float32(0))


@mistake(
    "to_sdpa",
    "polarity not changed",
    "The mask is unchanged, so True still says blocked. Here True must say may attend: the future would be all that is "
    "read.",
    bug="inverted_mask",
)
def sdpa_unchanged(blocked):
    return blocked


@mistake(
    "to_sdpa",
    "transposed",
    "You exchanged queries and keys. That also moves the triangle, but a row must stay a query: change True and False "
    "instead.",
    bug="transposed_mask",
)
def sdpa_transposed(blocked):
    return blocked.T


@mistake(
    "to_sdpa",
    "additive mask",
    "This is a mask to be added. Asked are booleans: True where the query may attend.",
)
def sdpa_additive(blocked):
    return np.where(blocked, np.float32(-np.inf), np.float32(0))


@mistake(
    "to_sdpa",
    "numbers for booleans",
    "0 and 1 are at the right places, but they are numbers. PyTorch refuses whole numbers, and adds floats to the "
    "scores, which hides nothing. Use `~blocked`.",
)
def sdpa_numbers(blocked):
    return 1 - blocked.astype(int)


@mistake(
    "to_mha",
    "polarity not changed",
    "The mask is unchanged, so True still says may attend. In nn.MultiheadAttention True says blocked.",
    bug="one_mask_for_two_libraries",
)
def mha_unchanged(allowed):
    return allowed


@mistake(
    "to_mha",
    "transposed",
    "You exchanged queries and keys. A row must stay a query: change True and False instead.",
)
def mha_transposed(allowed):
    return allowed.T


@mistake(
    "to_mha",
    "additive mask",
    "This is a mask to be added, which comes in the next step. Asked are booleans: True where the pair is blocked.",
)
def mha_additive(allowed):
    return np.where(allowed, np.float32(0), np.float32(-np.inf))


@mistake(
    "to_mha",
    "numbers for booleans",
    "0 and 1 are at the right places, but they are numbers. PyTorch refuses whole numbers, and adds floats to the "
    "scores, which hides nothing. Use `~allowed`.",
)
def mha_numbers(allowed):
    return 1 - allowed.astype(int)


@mistake(
    "to_additive",
    "inverted",
    "You put −∞ where the pair may be read and 0 where it is blocked. True comes in as blocked.",
)
def additive_inverted(blocked):
    return np.where(blocked, np.float32(0), np.float32(-np.inf))


@mistake(
    "to_additive",
    "large negative number for −∞",
    "You put −10⁹ in place of −∞. It hides a key only beside scores that are much larger. Put −∞.",
    bug="large_negative_number",
)
def additive_large(blocked):
    return np.where(blocked, np.float32(-1e9), np.float32(0))


@mistake(
    "to_additive",
    "smallest float for −∞",
    "You put the smallest float32 in place of −∞. Where a whole row is blocked, the softmax is then uniform, as if "
    "nothing were. Put −∞.",
)
def additive_smallest(blocked):
    return np.where(blocked, np.finfo(np.float32).min, np.float32(0))


@mistake(
    "to_additive",
    "multiplied by infinity",
    "You multiplied by −∞, and 0 · ∞ is NaN: every allowed pair is lost. Choose one of two values, with `np.where`.",
)
def additive_multiplied(blocked):
    return blocked * np.float32(-np.inf)


@mistake(
    "to_additive",
    "zeros and ones",
    "These are ones and zeros. Added to the scores, a 0 hides nothing: e⁰ = 1. A hidden pair needs −∞.",
)
def additive_ones(blocked):
    return (~blocked).astype(np.float32)


@mistake(
    "to_additive",
    "sign turned around",
    "You put +∞ at the blocked pairs. Then they take all the weight, and ∞/∞ is NaN. Put −∞.",
)
def additive_sign(blocked):
    return np.where(blocked, np.float32(np.inf), np.float32(0))


@mistake(
    "to_additive",
    "wrong type of float",
    "The values are right, but as float64. The scores are float32, and PyTorch refuses a mask of another float type.",
)
def additive_double(blocked):
    return np.where(blocked, -np.inf, 0.0)


@mistake(
    "to_additive",
    "left as booleans",
    "These are still booleans. If you began with `np.zeros_like(blocked)`: that makes booleans too, and −∞ put there "
    "becomes True. Begin with `dtype=np.float32`.",
)
def additive_booleans(blocked):
    return blocked


def attention_of_004(query, key, value, blocked):
    """Document 004's attention: True means blocked. Tensors (tokens, features)."""
    scores = query @ key.T / query.shape[-1] ** 0.5
    return F.softmax(scores.masked_fill(blocked, float("-inf")), dim=-1) @ value


def suspect_attention(q, k, v, training):
    """Causal attention of the last len(q) tokens, or so its author believes."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    if training:  # in use, the words that would follow do not exist yet
        allowed = np.tri(len(q), len(k), len(k) - len(q), dtype=bool)
        scores = np.where(allowed, scores, -np.inf)
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


@answered_by_attention("fixed_attention")
def fixed_attention_from(attend):
    return lambda q, k, v, training: attend(q, k, v)


def attention_of(q, k, v, cut=lambda scores, allowed: scores, scale=True):
    scores = q @ k.T / (np.sqrt(q.shape[1]) if scale else 1)
    allowed = np.tri(len(q), len(k), len(k) - len(q), dtype=bool)
    exponentials = np.exp(cut(scores, allowed))
    return exponentials / exponentials.sum(axis=1, keepdims=True) @ v


def minus_infinity(scores, allowed):
    return np.where(allowed, scores, -np.inf)


@mistake(
    "fixed_attention",
    "bug still there",
    "This gives the same as the suspect: without training, nothing is masked. A text that is evaluated is there as a "
    "whole, too.",
    bug="masked_only_in_training",
)
def bug_still_there(q, k, v, training):
    return suspect_attention(q, k, v, training)


@mistake(
    "fixed_attention",
    "mask removed in training",
    "Now nothing is masked in training, where the suspect was right. The future must be hidden in both modes.",
    bug="mask_thrown_away",
)
def mask_removed_in_training(q, k, v, training):
    return attention_of(q, k, v)


@mistake(
    "fixed_attention",
    "top-left alignment",
    "For a square mask this is right. With a cache, the queries are the last positions: the newest token must read all "
    "keys, not only the oldest.",
    bug="top_left_with_a_cache",
)
def top_left_attention(q, k, v, training):
    return attention_of(
        q, k, v, lambda scores, _: np.where(np.tri(*scores.shape), scores, -np.inf)
    )


@mistake(
    "fixed_attention",
    "scores set to zero",
    "A score of 0 is not silence: e⁰ = 1, so every future key still takes part. The blocked scores must be −∞.",
    bug="zeroed_scores",
)
def blocked_scores_zero(q, k, v, training):
    return attention_of(q, k, v, lambda scores, allowed: scores * allowed)


@mistake(
    "fixed_attention",
    "masked after the softmax",
    "The future has weight 0, but it was in the denominator: your rows of weights sum to less than 1.",
    bug="masked_after_the_softmax",
)
def masked_after(q, k, v, training):
    weights = attention_of(q, k, np.eye(len(k)))
    return np.tril(weights, len(k) - len(q)) @ v


@mistake(
    "fixed_attention",
    "mask turned around",
    "The mask is inverted: what was allowed is blocked now, and every query reads its future alone. Where there is "
    "none, 0/0 is NaN.",
    bug="inverted_mask",
)
def mask_inverted(q, k, v, training):
    return attention_of(
        q, k, v, lambda scores, allowed: minus_infinity(scores, ~allowed)
    )


@mistake(
    "fixed_attention",
    "scale forgotten",
    "The mask is right, but the scores are no longer divided by √d_k.",
)
def not_scaled(q, k, v, training):
    return attention_of(q, k, v, minus_infinity, scale=False)


def multiplied_attention(q, k, v):
    """The formula of document 004: scores times the mask of zeros and ones."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    return softmax(scores * np.tri(len(scores))) @ v


# As many future tokens as allowed, and an own score as small as allowed: 1 · (−1).
before = (np.ones((8, 1)), -np.ones((8, 1)), np.full((8, 1), -1.0))
# Every value of the future goes from one end to the other.
after = (*before[:2], np.array([[-1.0]] + 7 * [[1.0]]))
