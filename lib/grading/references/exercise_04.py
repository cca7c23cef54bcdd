"""Points, reference answers and known mistakes of exercise 04.

Generated from solutions/04_causal_versus_bidirectional.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.grading.known import answered_by_attention, mistake
from lib.numpy_attention import attention, softmax

CHAPTER = "04_causal_versus_bidirectional"
TITLE = "Causal versus bidirectional"
TITLES = {
    "4.1": "From memory: is it causal?",
    "4.2": "The mask of a head that you cannot open",
    "4.3": "Break it with an input: zeros that come too late",
    "4.4": "Find the bug: two branches, and each knows half",
    "4.5": "A factory of counterexamples",
    "4.6": "Diagnosis: five numbers, and one may be published",
}
POINTS = {
    "4.1": 2,
    "4.2": 2,
    "4.3": 1,
    "4.4": 2,
    "4.5": 3,
    "4.6": 2,
}


def running_mean(x):
    """The mean of each token and all before it."""
    return np.cumsum(x, axis=0) / np.arange(1, len(x) + 1)[:, None]


def centred(x):
    """Each token less the mean of the text."""
    return x - x.mean(axis=0)


def is_causal(f, x):
    """Whether no output of f moves with a later token, as far as a change of each token of x tells.

    >>> is_causal(running_mean, np.array([[1.0], [2.0], [4.0]]))
    True
    """
    before = f(x)
    for j in range(1, len(x)):
        other = x.copy()
        other[j] += 1
        if not np.allclose(f(other)[:j], before[:j]):
            return False
    return True


def with_mask(x, mask):
    """Attention of a text to itself, queries and keys told apart by a projection."""
    features = np.arange(1.0, 1 + x.shape[1] ** 2).reshape(2 * x.shape[1:])
    return attention(np.sin(x @ features), x, x, mask)


def triangle(x, k=0):
    return np.tri(len(x), k=k, dtype=bool)


def doubled(x):
    return 2 * x


def mean_of_all(x):
    return np.repeat(x.mean(axis=0)[None], len(x), axis=0)


def causal_attention(x):
    return with_mask(x, triangle(x))


def one_ahead(x):
    return with_mask(x, triangle(x, k=1))


def token_before(x):
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def two_reads_three(x):
    mask = triangle(x)
    mask[1:2, 2:3] = True  # where there are so many tokens
    return with_mask(x, mask)


def last_but_one_reads_last(x):
    mask = triangle(x)
    mask[-2:, -1] = True
    return with_mask(x, mask)


def zeros_too_late(x):
    weights = softmax(x @ x.T) * triangle(x)
    return weights @ x


def first_reads_last(x):
    return x + np.eye(len(x))[:, :1] * x[-1]


def share_of_the_text(x):
    return x + np.arange(len(x))[:, None] / len(x)


def prefix_by_prefix(x):
    return np.array([x[: i + 1].max(axis=0) + x[: i + 1].sum() for i in range(len(x))])


def backwards(x):
    return running_mean(x[::-1])[::-1]


def length_of_all(x):
    return x / np.sqrt((x**2).sum())


def changed(x, j, new):
    other = np.array(x)
    other[j] = new
    return other


def moves(f, x, j, new, rows):
    """Whether one of these rows of outputs moves when token j becomes another one."""
    return not np.allclose(f(changed(x, j, new))[rows], f(x)[rows], equal_nan=True)


def no_move(f, x, rows_of, tokens=None, by=1.0):
    tokens = range(len(x)) if tokens is None else tokens
    return not any(moves(f, x, j, x[j] + by, rows_of(j)) for j in tokens)


mistakes_4_1 = [
    mistake("is_causal", "own output looked at too", "You compare output j as well when token j changes. It may move: a token may read itself.")(lambda f, x: no_move(f, x, lambda j: slice(j + 1))),
    mistake("is_causal", "all outputs compared", "You also compare outputs that may move: those at a changed token and after it. Compare only earlier ones; and begin with a new copy for each token, or old changes stay in it.")(lambda f, x: no_move(f, x, lambda j: slice(None))),
    mistake("is_causal", "the past changed", "You change a token and look at the outputs after it. The past may move the future; look at the outputs before it.")(lambda f, x: no_move(f, x, lambda j: slice(j + 1, None))),
    mistake("is_causal", "the last token alone", "You change the last token alone. Here a query in the middle reads one key ahead, and nobody reads the last token.")(lambda f, x: no_move(f, x, lambda j: slice(j), tokens=[len(x) - 1])),
    mistake("is_causal", "the first output alone", "You look at the first output alone. Here a later query reads ahead, and the first does not.")(lambda f, x: no_move(f, x, lambda j: slice(0, min(j, 1)))),
    mistake("is_causal", "two neighbours alone", "You look at the output just before the changed token alone. Here an output far before it moves.")(lambda f, x: no_move(f, x, lambda j: slice(max(j - 1, 0), j))),
    mistake("is_causal", "NaN for another token", "NaN goes further than the function reads: a masked layer has the weight 0 there, and 0 · NaN is NaN. Take an ordinary other token.")(lambda f, x: no_move(f, x, lambda j: slice(j), by=np.nan)),
    mistake("is_causal", "a step too small", "Your change is so small that every move looks like rounding. Change the token a lot.")(lambda f, x: no_move(f, x, lambda j: slice(j), by=1e-9)),
    mistake("is_causal", "the future in another order", "You put the future in another order. A mean of all tokens does not notice that, though it reads every one. Put another token there.")(lambda f, x: all(np.allclose(f(np.concatenate([x[:j], x[j:][::-1]]))[:j], f(x)[:j]) for j in range(len(x)))),
    mistake("is_causal", "prefixes compared", "You cut the text off, and so change its length. This function looks at the length, and at no later token: it is causal.", bug="position_over_length")(lambda f, x: all(np.allclose(f(x[:t]), f(x)[:t]) for t in range(1, len(x) + 1))),
    mistake("is_causal", "turned around", "This is True where the future is read, and False where it is not.")(lambda f, x: not no_move(f, x, lambda j: slice(j))),
]


def closed_head(x):
    """A head with a window of two. In the check you will not see the mask."""
    near = np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x)))) < 2
    return attention(x, x, x, near)


def recover_mask(f, words, n):
    """Which key each query of the head may read.

    >>> recover_mask(running_mean, np.array([[1.0], [2.0]]), 2)
    array([[ True, False],
           [ True,  True]])
    """
    found = np.zeros((n, n), dtype=bool)
    for word in words:
        dull = np.tile(word, (n, 1))  # whatever the weights: every output is its value
        for other in words:
            for j in range(n):
                text = dull.copy()
                text[j] = other
                found[:, j] |= np.abs(f(text) - f(dull)).max(axis=1) > 1e-9
    return found


def head_of(mask, words, loud=1.0, seed=0):
    """A head with this mask inside, as the check hands it over: function, words, length and mask."""
    rng = np.random.default_rng(seed)
    d = words.shape[1]
    queries, keys = rng.normal(size=(2, d, d))

    def head(x):
        return attention(loud * x @ queries, loud * x @ keys, x[:, 1:], mask)

    return head, words, len(mask), mask


def random_mask(seed, n):
    rng = np.random.default_rng(seed)
    mask = rng.random((n, n)) < 0.5
    mask[np.arange(n), rng.integers(n, size=n)] = True  # no empty row
    return mask


TWO = np.array([[0.3, 0.2], [-0.4, 0.5]])
# The first two words differ in feature 0 alone, which is no part of the values.
FOUR = np.array([[0.2, 0.5], [-0.7, 0.5], [0.4, -0.6], [-0.3, 1.1]])
HEADS = {
    "small": head_of(np.array([[True, False], [True, True]]), TWO),
    "ahead": head_of(np.array([[0, 1, 0], [1, 0, 1], [1, 1, 1]]) > 0, TWO, seed=1),
    "random": head_of(random_mask(0, 6), TWO, seed=2),
    "same value": head_of(random_mask(1, 4), FOUR, seed=3),
    "loud": head_of(random_mask(2, 5), FOUR[[1, 3, 2]], loud=60.0, seed=4),
    "loud, too": head_of(random_mask(2, 5), FOUR[1:], loud=60.0, seed=4),
    "large": head_of(random_mask(3, 9), TWO, seed=5),
    "large, loud": head_of(random_mask(4, 7), FOUR, loud=50.0, seed=6),
}


def shown_by(f, dull, other, least=1e-9):
    """Column by column: which outputs move when `other` comes into a text."""
    columns = []
    for j in range(len(dull)):
        text = np.array(dull)
        text[j] = other
        columns.append(np.abs(f(text) - f(dull)).max(axis=1) > least)
    return np.array(columns).T


def shown_by_all(f, words, n, least=1e-9):
    pairs = [(a, b) for a in words for b in words]
    return np.any([shown_by(f, np.tile(a, (n, 1)), b, least) for a, b in pairs], axis=0)


def shown_by_pairs(f, words, n):
    """Each pair of words in one order alone."""
    pairs = [(a, b) for i, a in enumerate(words) for b in words[i + 1 :]]
    return np.any([shown_by(f, np.tile(a, (n, 1)), b) for a, b in pairs], axis=0)


def on_random_texts(f, words, n):
    rng = np.random.default_rng(0)
    texts = [words[rng.integers(len(words), size=n)] for _ in range(60)]
    return np.any([shown_by(f, text, b) for text in texts for b in words], axis=0)


def on_the_diagonal_too(f, words, n):
    """What many ordinary texts show: the mask, and each query's own token where there are weights to change."""
    mask = recover_mask(f, words, n)
    return mask | np.diag(mask.sum(axis=1) > 1)


def on_a_mixed_text(f, words, n):
    mixed = np.array([words[i % len(words)] for i in range(n)])
    return np.any([shown_by(f, mixed, other) for other in words], axis=0)


mistakes_4_2 = [
    mistake("recover_mask", "two words alone", "Two words show much, and not always all: they may have the same value, or the weight of one is rounded to 0 beside the other. What do other pairs of words show, and the same pair in the other order?")(lambda f, words, n: shown_by(f, np.tile(words[0], (n, 1)), words[1])),
    mistake("recover_mask", "two words in both orders", "You try the first two words, in both orders. They may have the same value: try the others, too.")(lambda f, words, n: shown_by(f, np.tile(words[0], (n, 1)), words[1]) | shown_by(f, np.tile(words[1], (n, 1)), words[0])),
    mistake("recover_mask", "what every pair shows", "You keep what every pair of words shows. A pair that shows nothing proves nothing: keep what some pair shows.")(lambda f, words, n: np.all([shown_by(f, np.tile(a, (n, 1)), b) for a in words for b in words if (a != b).any()], axis=0)),
    mistake("recover_mask", "tokens that differ", "Your text has different words in it. Then output j moves with token j even if it does not read it: its query changes, and with it all weights. Begin with equal words.")(lambda f, words, n: on_a_mixed_text(f, words, n)),
    mistake("recover_mask", "tokens that differ", "Your text has different words in it. Then output j moves with token j even if it does not read it: its query changes, and with it all weights. Begin with equal words.")(lambda f, words, n: on_the_diagonal_too(f, words, n)),
    mistake("recover_mask", "tokens that differ", "Your text has different words in it. Then output j moves with token j even if it does not read it: its query changes, and with it all weights. Begin with equal words.")(lambda f, words, n: on_random_texts(f, words, n)),
    mistake("recover_mask", "each pair in one order", "You try each pair of words in one order. Where scores are loud, b among a may show what a among b does not.")(lambda f, words, n: shown_by_pairs(f, words, n)),
    mistake("recover_mask", "own keys left out", "The diagonal belongs to the mask as well: some queries may read their own key.")(lambda f, words, n: shown_by_all(f, words, n) & ~np.eye(n, dtype=bool)),
    mistake("recover_mask", "own keys always in", "You let each query read its own key. Here some may not.")(lambda f, words, n: shown_by_all(f, words, n) | np.eye(n, dtype=bool)),
    mistake("recover_mask", "made causal", "You leave the future out. This head reads some of it: that is what you were to find.")(lambda f, words, n: shown_by_all(f, words, n) & np.tri(n, dtype=bool)),
    mistake("recover_mask", "large moves alone", "You count large moves alone. A key of small weight is read, too: here outputs move by a thousandth and more.")(lambda f, words, n: shown_by_all(f, words, n, least=0.2)),
    mistake("recover_mask", "everything that is not zero", "You look whether outputs are zero. Look at what moves.")(lambda f, words, n: np.array([np.abs(f(np.tile(words[0], (n, 1)))).max(axis=1) > 0] * n).T),
]


def late_zeros(x):
    """Weights over all keys, and then the future is set to 0."""
    weights = softmax(x @ x.T / np.sqrt(x.shape[1]))
    return np.tril(weights) @ x


# Two tokens of four features. The last is first the opposite of token 0, then the same.
pair = (np.array([[1.0] * 4, [-1.0] * 4]), np.ones((2, 4)))


def suspect_layer(x, is_causal, real=None):
    """Self-attention, for those that write and for those that read, or so its author believes."""
    n = len(x)
    if real is None:
        return attention(x, x, x, np.tri(n, dtype=bool))
    return attention(x, x, x, np.broadcast_to(real, (n, n)))


def fixed_layer(x, is_causal, real=None):
    """Self-attention of a text: causal or in both directions, with padding or without.

    >>> fixed_layer(np.array([[0.0], [2.0]]), is_causal=True)[0]
    array([0.])
    """
    allowed = np.ones((len(x), len(x)), dtype=bool)
    if is_causal:
        allowed &= np.tri(len(x), dtype=bool)
    if real is not None:
        allowed &= real
    return attention(x, x, x, allowed)


def self_attention(x, allowed):
    return attention(x, x, x, np.broadcast_to(allowed, 2 * (len(x),)))


def order(x, is_causal):
    return (
        np.tri(len(x), dtype=bool) if is_causal else np.ones(2 * (len(x),), dtype=bool)
    )


def padding_of(x, real):
    return np.ones(len(x), dtype=bool) if real is None else real


def attention_of_numbers(x, allowed):
    return softmax(np.where(allowed, x @ x.T / np.sqrt(x.shape[1]), -1e9)) @ x


mistakes_4_4 = [
    answered_by_attention("fixed_layer")(lambda attend: lambda x, is_causal, real=None: attend(x, x, x) if is_causal and real is None else fixed_layer(x, is_causal, real)),
    mistake("fixed_layer", "both bugs still there", "This gives the same as the suspect. Which of the two arguments does each branch look at?")(lambda x, is_causal, real=None: suspect_layer(x, is_causal, real)),
    mistake("fixed_layer", "flag not read", "The triangle is always there now, and those that read in both directions get it too. Look at `is_causal`.")(lambda x, is_causal, real=None: self_attention(x, order(x, True) & padding_of(x, real))),
    mistake("fixed_layer", "triangle only without padding", "With padding the triangle is still missing: whoever writes must not read its future there either.")(lambda x, is_causal, real=None: self_attention(x, order(x, is_causal) if real is None else real)),
    mistake("fixed_layer", "a number for −∞", "You hide by a large negative number. A query that may read nothing then reads everything, evenly. It must have zeros: fill in −∞, and give such a row a rule.", bug="uniform_empty_row")(lambda x, is_causal, real=None: attention_of_numbers(x, order(x, is_causal) & padding_of(x, real))),
    mistake("fixed_layer", "padding dropped", "The padding is read now. Hide its keys in every case in which there is some.")(lambda x, is_causal, real=None: self_attention(x, order(x, is_causal))),
    mistake("fixed_layer", "padding only for those that write", "Those that read in both directions read the padding, too. Hide its keys in both cases.")(lambda x, is_causal, real=None: self_attention(x, order(x, is_causal) & padding_of(x, real) if is_causal else True)),
    mistake("fixed_layer", "flag turned around", "The triangle is there when it should not be, and missing when it should.")(lambda x, is_causal, real=None: self_attention(x, order(x, not is_causal) & padding_of(x, real))),
    mistake("fixed_layer", "joined by or", "A key may be read if both rules allow it; here one is enough.", bug="and_for_or")(lambda x, is_causal, real=None: self_attention(x, order(x, is_causal) | padding_of(x, real))),
    mistake("fixed_layer", "padding on the side of the queries", "You hide the rows of padded queries. It is their keys, the columns, that nobody may read.", bug="padding_on_the_query_side")(lambda x, is_causal, real=None: self_attention(x, order(x, is_causal) & padding_of(x, real)[:, None])),
    mistake("fixed_layer", "queries of padding silenced", "The outputs of padded queries are zeros. Here they are like all others, and read what they may.")(lambda x, is_causal, real=None: fixed_layer(x, is_causal, real) * padding_of(x, real)[:, None]),
    mistake("fixed_layer", "tokens of padding set to zero", "A token of zeros still has the score 0, and e⁰ = 1: it takes part of the weight. Hide its key by the mask.")(lambda x, is_causal, real=None: self_attention(x * padding_of(x, real)[:, None], order(x, is_causal))),
    mistake("fixed_layer", "keys and values of padding set to zero", "A key of zeros still has the score 0, and e⁰ = 1: it takes part of the weight. Hide it by the mask.")(lambda x, is_causal, real=None: attention(x, x * padding_of(x, real)[:, None], x * padding_of(x, real)[:, None], order(x, is_causal))),
    mistake("fixed_layer", "NaN where nothing may be read", "All is well, but for a query that may read nothing: 0/0 is NaN there. It must have zeros.", bug="nan_row")(lambda x, is_causal, real=None: np.where((order(x, is_causal) & padding_of(x, real)).any(axis=1)[:, None], fixed_layer(x, is_causal, real), np.nan)),
    mistake("fixed_layer", "triangle turned around", "The triangle is turned around: every query reads its future alone.", bug="transposed_mask")(lambda x, is_causal, real=None: self_attention(x, (order(x, True).T if is_causal else True) & padding_of(x, real))),
]


W_VALUE = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0]])


def layer_of_words(x):
    """One head without a mask, x (n, 3)."""
    return attention(x, x, x @ W_VALUE)


def three_heads(x):
    """Three heads side by side, x (n, 2) → (n, 6). Only the third has a causal mask."""
    one = attention(x, x, x)
    two = attention(x, x, 3 * x)
    three = attention(x, x, x, np.tri(len(x), dtype=bool))
    return np.hstack([one, two, three])


def first_output(a, b, p, scores):
    """Output 0 of a head that reads both of two tokens, the words a and b, each 0 or 1.

    The value of a token is its word plus the number of its place, p[0] or p[1].
    Its score is `scores[place, word]`.
    """
    values = np.array([a + p[0], b + p[1]])
    return softmax(np.array([scores[0][a], scores[1][b]])) @ values


def weights_of_the_four_texts(scores):
    """The weights of both places on the texts 0 0, 0 1, 1 0 and 1 1, (4, 2)."""
    texts = [(a, b) for a in (0, 1) for b in (0, 1)]
    return np.array([softmax(np.array([scores[0, a], scores[1, b]])) for a, b in texts])


# (2, −1, 1) @ W_VALUE = 0, so words that differ by multiples of it have the same value.
words = np.array([[1.0, 0.0, 0.0], [3.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])


# Head two is three times head one: 3 · one − two = 0. What is left is the causal head.
mixing = np.vstack([3 * np.eye(2), -np.eye(2), np.eye(2)])


def scores(p):
    """Scores (place, word) for which the first output is 0 on all four texts.

    >>> scores(np.array([-2.0, 1.0])).shape
    (2, 2)
    """
    values = p[:, None] + np.array([0, 1])  # negative at place 0, positive at place 1
    return -np.log(np.abs(values))  # so each weight is in proportion to 1 / |value|


def values_at(p):
    return p[:, None] + np.array([0, 1])


mistakes_4_5 = [
    mistake("scores", "a mask after all", "A score of −∞ for place 1 is a mask. Here both weights must be positive: let the two values cancel.")(lambda p: np.array([[0.0, 0.0], [-np.inf, -np.inf]])),
    mistake("scores", "sign turned around", "These weights are in proportion to |v|: the larger value gets the larger weight, and it should get the smaller one.")(lambda p: np.log(np.abs(values_at(p)))),
    mistake("scores", "logarithm forgotten", "These are the weights that you want, up to a factor. A softmax takes the exponential of what you give it: give it their logarithm.")(lambda p: 1 / np.abs(values_at(p))),
    mistake("scores", "word forgotten", "You balance the numbers of the places alone. The value of a token is its word plus that number.")(lambda p: -np.log(np.abs(p))[:, None] * np.ones(2)),
    mistake("scores", "sign of the value kept", "The values at place 0 are negative, and their logarithm is no number. What counts is their size.")(lambda p: -np.log(values_at(p))),
    mistake("scores", "all scores 0", "Both weights are ½ on every text. Values of different size then do not cancel.")(lambda p: np.zeros((2, 2))),
    mistake("scores", "minus the value", "A larger value gets a smaller weight, rightly, but not in the right ratio: weights of e^(−|v|) are not in proportion to 1/|v|.")(lambda p: -np.abs(values_at(p))),
    mistake("scores", "places exchanged", "Rows are places: row 0 is for the token that comes first.")(lambda p: -np.log(np.abs(values_at(p)))[::-1]),
    mistake("scores", "words and places exchanged", "Rows are places and columns are words; yours are the other way round.")(lambda p: -np.log(np.abs(values_at(p))).T),
]


def mask_of_the_runs(n):
    """Causal."""
    return np.tri(n, dtype=bool)


diagnosis = (4, 1, 2, 3, 2)
