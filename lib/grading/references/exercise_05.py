"""Points, reference answers and known mistakes of exercise 05.

Generated from solutions/05_autoregressive_models.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.grading.known import mistake
from lib.numpy_attention import attention, softmax

CHAPTER = "05_autoregressive_models"
TITLE = "Autoregressive models"
TITLES = {
    "5.1": "From memory: the loss of a text",
    "5.2": "Find the bug: honest, or so it seems",
    "5.3": "Which sublayers look ahead?",
    "5.4": "Break the sum test with a mask",
    "5.5": "The lowest loss",
    "5.6": "Diagnosis",
}
POINTS = {
    "5.1": 2,
    "5.2": 2,
    "5.3": 2,
    "5.4": 2,
    "5.5": 2,
    "5.6": 2,
}


def next_token_loss(logits, tokens):
    """The mean of −log p(next token) over the text.

    >>> bool(np.isclose(next_token_loss(np.zeros((3, 4)), np.array([1, 3, 2])), np.log(4)))
    True
    """
    guesses, wanted = logits[:-1], tokens[1:]  # row t guesses token t + 1
    guesses = guesses - guesses.max(axis=1, keepdims=True)
    log_of_sum = np.log(np.exp(guesses).sum(axis=1))
    return (log_of_sum - guesses[np.arange(len(wanted)), wanted]).mean()


def surprise(logits, wanted):
    """−log p of each wanted token, one a row."""
    return [
        np.logaddexp.reduce(row) - row[t]
        for row, t in zip(logits, wanted, strict=False)
    ]


def shares(logits, axis=1, less=0.0):
    """The softmax, with `less` subtracted first."""
    exponentials = np.exp(logits - less)
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def stable(logits):
    return shares(logits, less=logits.max(axis=1, keepdims=True))


def with_one_maximum(logits, tokens, largest):
    """One number is subtracted from the whole table."""
    logits = logits - largest
    return -picked(logits - np.log(np.exp(logits).sum(axis=1))[:, None], tokens).mean()


def picked(table, tokens):
    return table[np.arange(len(tokens) - 1), tokens[1:]]


mistakes_5_1 = [
    mistake("next_token_loss", "not shifted", "Row t is compared with token t, which it has read. A model that only copies would get the loss 0. Which token does row t guess?", bug="unshifted_targets")(lambda logits, tokens: np.mean(surprise(logits, tokens))),
    mistake("next_token_loss", "not shifted", "Row t is compared with token t, which it has read. A model that only copies would get the loss 0. Which token does row t guess?", bug="unshifted_targets")(lambda logits, tokens: np.mean(surprise(logits[1:], tokens[1:]))),
    mistake("next_token_loss", "not shifted", "Row t is compared with token t, which it has read. A model that only copies would get the loss 0. Which token does row t guess?", bug="unshifted_targets")(lambda logits, tokens: np.mean(surprise(logits[:-1], tokens[:-1]))),
    mistake("next_token_loss", "shifted the wrong way", "Row t is compared with the token before it. It guesses the one after it.")(lambda logits, tokens: np.mean(surprise(logits[1:], tokens[:-1]))),
    mistake("next_token_loss", "around the end", "The last row is compared with token 0: `np.roll` goes around the end. What the last row guesses is not in the text, so it does not count.")(lambda logits, tokens: np.mean(surprise(logits, np.roll(tokens, -1)))),
    mistake("next_token_loss", "divided by all rows", "You divided by the number of tokens. How many guesses can be compared with the text?")(lambda logits, tokens: np.sum(surprise(logits, tokens[1:])) / len(tokens)),
    mistake("next_token_loss", "not divided", "This is the sum over all guesses. Asked is their mean.")(lambda logits, tokens: np.sum(surprise(logits, tokens[1:]))),
    mistake("next_token_loss", "in bits", "This is in bits, with the logarithm to base 2. Asked is the natural one.")(lambda logits, tokens: np.mean(surprise(logits, tokens[1:])) / np.log(2)),
    mistake("next_token_loss", "perplexity", "This is the perplexity, e to the power of the loss.")(lambda logits, tokens: np.exp(np.mean(surprise(logits, tokens[1:])))),
    mistake("next_token_loss", "softmax forgotten", "You averaged the logits. −log p needs a p: the softmax of the row first.")(lambda logits, tokens: -picked(logits, tokens).mean()),
    mistake("next_token_loss", "probability for its logarithm", "You averaged 1 − p. The loss takes the logarithm of each p, and then the mean.")(lambda logits, tokens: 1 - picked(stable(logits), tokens).mean()),
    mistake("next_token_loss", "softmax taken twice", "The softmax was taken twice: its result went into a loss that takes it again.")(lambda logits, tokens: np.mean(surprise(stable(logits), tokens[1:]))),
    mistake("next_token_loss", "softmax along the text", "The softmax runs along the text. It must share out 1 among the V tokens that one row may name: along the last axis.")(lambda logits, tokens: -np.log(picked(shares(logits, axis=0), tokens)).mean()),
    mistake("next_token_loss", "logarithm of the mean", "You took the mean of the p and then its logarithm. It is the logarithms that are averaged.")(lambda logits, tokens: -np.log(picked(stable(logits), tokens).mean())),
    mistake("next_token_loss", "overflow", "exp of a large logit overflows to inf, and inf/inf is NaN. Subtract the largest logit of the row first: the softmax does not notice.")(lambda logits, tokens: -np.log(picked(shares(logits), tokens)).mean()),
    mistake("next_token_loss", "infinite logarithm", "Somewhere a logarithm is infinite: an exp has overflowed, or a small p was rounded to 0. Neither happens if you subtract the row's largest logit first, and then take the logit less the logarithm of the sum of the exponentials.")(lambda logits, tokens: -np.log(picked(stable(logits), tokens)).mean()),
    mistake("next_token_loss", "one maximum for the whole table", "You subtracted one number from the whole table. In a row that lies far below it every exp is 0, and log 0 is −∞. Each row needs its own largest logit.")(lambda logits, tokens: with_one_maximum(logits, tokens, logits.max())),
    mistake("next_token_loss", "one maximum for the whole table", "You subtracted one number from the whole table. In a row that lies far below it every exp is 0, and log 0 is −∞. Each row needs its own largest logit.")(lambda logits, tokens: with_one_maximum(logits, tokens, logits[:-1].max())),
    mistake("next_token_loss", "mean forgotten", "You gave one number for each guess. Asked is one number for the text: their mean.")(lambda logits, tokens: np.array(surprise(logits, tokens[1:]))),
    mistake("next_token_loss", "small number for 0", "You put a small number where p is 0, which caps the loss of a model that is sure and wrong. Do not go through p: log p is the logit less the logarithm of the sum of the exponentials.")(lambda logits, tokens: -np.log(np.maximum(picked(stable(logits), tokens), 1e-12)).mean()),
    mistake("next_token_loss", "small number for 0", "You put a small number where p is 0, which caps the loss of a model that is sure and wrong. Do not go through p: log p is the logit less the logarithm of the sum of the exponentials.")(lambda logits, tokens: -np.log(np.maximum(picked(stable(logits), tokens), 1e-9)).mean()),
    mistake("next_token_loss", "small number for 0", "You put a small number where p is 0, which caps the loss of a model that is sure and wrong. Do not go through p: log p is the logit less the logarithm of the sum of the exponentials.")(lambda logits, tokens: -np.log(picked(stable(logits), tokens) + 1e-12).mean()),
    mistake("next_token_loss", "small number for 0", "You put a small number where p is 0, which caps the loss of a model that is sure and wrong. Do not go through p: log p is the logit less the logarithm of the sum of the exponentials.")(lambda logits, tokens: -np.log(picked(stable(logits), tokens) + 1e-9).mean()),
]


EMBEDDING = np.sin(1.0 + np.arange(12).reshape(3, 4))  # any numbers will do
POSITION = np.cos(np.arange(400).reshape(100, 4))
five_tokens = np.array([2, 1, 0, 2, 1])


def model(tokens, mask):
    """Logits (n, 3) of a small model of two layers."""
    x = EMBEDDING[tokens] + POSITION[: len(tokens)]
    for _ in range(2):
        x = x + attention(x, x[:, ::-1], x, mask)
    return x @ EMBEDDING.T / 4


def suspect_loss(tokens, mask):
    """The loss of every token given only what stands before it, or so its author believes."""
    losses = []
    for t in range(1, len(tokens)):
        covered = np.where(np.arange(len(tokens)) < t, tokens, 0)  # not known yet
        p = softmax(model(covered, mask)[t - 1])
        losses.append(-np.log(p[tokens[t]]))
    return np.mean(losses)


def fixed_loss(tokens, mask):
    """The loss of every token given only what stands before it.

    >>> causal_mask = np.tri(5, dtype=bool)
    >>> wanted = suspect_loss(five_tokens, causal_mask)
    >>> bool(np.isclose(fixed_loss(five_tokens, causal_mask), wanted))
    True
    """
    losses = []
    for t in range(1, len(tokens)):
        p = softmax(model(tokens[:t], mask[:t, :t])[-1])  # text and mask are cut
        losses.append(-np.log(p[tokens[t]]))
    return np.mean(losses)


telling_mask = np.tri(5, dtype=bool)
telling_mask[0, 4] = True  # token 0 reads the filler at the end of the text


def loss_of_cut(tokens, mask, shown, corner, row=-1):
    """The mean over t of −log p of token t, for the text and the mask as they are cut at t."""
    guesses = range(1, len(tokens))
    logits = [model(shown(tokens, t), corner(mask, t))[row] for t in guesses]
    return np.mean(surprise(logits, tokens[1:]))


def before(tokens, t):
    return tokens[:t]


def upper_left(mask, t):
    return mask[:t, :t]


def own_row_hidden(tokens, mask, filler=None):
    """The guessing row alone does not see the future; the rows that it reads do."""
    logits = []
    for t in range(1, len(tokens)):
        known = np.arange(len(tokens)) < t
        allowed = mask & (known | (np.arange(len(tokens)) != t - 1)[:, None])
        shown = tokens if filler is None else np.where(known, tokens, filler)
        logits.append(model(shown, allowed)[t - 1])
    return np.mean(surprise(logits, tokens[1:]))


def covered_by(filler, tokens, mask):
    """The suspect with another filler, which may follow from the tokens before the cut."""
    logits = []
    for t in range(1, len(tokens)):
        shown = np.where(np.arange(len(tokens)) < t, tokens, filler(tokens[:t]))
        logits.append(model(shown, mask)[t - 1])
    return np.mean(surprise(logits, tokens[1:]))


mistakes_5_2 = [
    mistake("fixed_loss", "bug still there", "This gives the same as the suspect. Rows that look ahead read the filler: cover nothing, cut the text.")(lambda tokens, mask: suspect_loss(tokens, mask)),
    mistake("fixed_loss", "hidden from its own row alone", "The row that guesses does not read the future now. But it reads rows that do, and in the second layer it gets from them what they have read. Nothing may be there to be read: cut the text.")(lambda tokens, mask: own_row_hidden(tokens, mask)),
    mistake("fixed_loss", "hidden from its own row alone", "The row that guesses does not read the future now. But it reads rows that do, and in the second layer it gets from them what they have read. Nothing may be there to be read: cut the text.")(lambda tokens, mask: own_row_hidden(tokens, mask, 0)),
    mistake("fixed_loss", "another filler", "You cover the rest with another token. Rows that look ahead read it like any other, and nobody wrote it: cover nothing, cut the text.")(lambda tokens, mask: covered_by(lambda before: 1, tokens, mask)),
    mistake("fixed_loss", "another filler", "You cover the rest with another token. Rows that look ahead read it like any other, and nobody wrote it: cover nothing, cut the text.")(lambda tokens, mask: covered_by(lambda before: 2, tokens, mask)),
    mistake("fixed_loss", "another filler", "You cover the rest with another token. Rows that look ahead read it like any other, and nobody wrote it: cover nothing, cut the text.")(lambda tokens, mask: covered_by(lambda before: before[-1], tokens, mask)),
    mistake("fixed_loss", "one pass", "This is the loss of one pass over the whole text. Rows that look ahead have read what they guess. Ask once for each token.")(lambda tokens, mask: np.mean(surprise(model(tokens, mask), tokens[1:]))),
    mistake("fixed_loss", "lower right corner", "You cut the text at its end and the mask at its beginning. What is left of the mask are the pairs of the first tokens.")(lambda tokens, mask: loss_of_cut(tokens, mask, before, lambda mask, t: mask[-t:, -t:])),
    mistake("fixed_loss", "last rows and first columns", "These are the mask's last rows. The rows of the tokens that are left are its first ones.")(lambda tokens, mask: loss_of_cut(tokens, mask, before, lambda mask, t: mask[-t:, :t])),
    mistake("fixed_loss", "always causal", "You put a causal mask in place of the one that is given. Asked is the loss of this model, with its own mask, on a text that is cut.")(lambda tokens, mask: loss_of_cut(tokens, mask, before, lambda mask, t: np.tri(t, dtype=bool))),
    mistake("fixed_loss", "never ahead", "You also forbid what looks ahead within the text that is left. Those tokens are there, and the given mask allows it.")(lambda tokens, mask: loss_of_cut(tokens, mask, before, lambda mask, t: mask[:t, :t] & np.tri(t, dtype=bool))),
    mistake("fixed_loss", "everything allowed", "You gave no mask, so every row reads all of the text that is left. Cut the mask that is given.")(lambda tokens, mask: loss_of_cut(tokens, mask, before, lambda mask, t: None)),
    mistake("fixed_loss", "answer in the text", "The text that you show ends with the token that is to be guessed. It must end before it.")(lambda tokens, mask: loss_of_cut(tokens, mask, lambda tokens, t: tokens[: t + 1], lambda mask, t: mask[: t + 1, : t + 1], row=-2)),
    mistake("fixed_loss", "token that is read", "You ask the row that has read the token. Ask the last row of the text that ends before it.")(lambda tokens, mask: loss_of_cut(tokens, mask, lambda tokens, t: tokens[: t + 1], lambda mask, t: mask[: t + 1, : t + 1])),
    mistake("fixed_loss", "first row", "You ask row 0 of each text. The guess at the next token is the last row.")(lambda tokens, mask: loss_of_cut(tokens, mask, before, upper_left, row=0)),
    mistake("fixed_loss", "divided by all tokens", "You divided by the number of tokens. Token 0 is not guessed: how many guesses are there?")(lambda tokens, mask: loss_of_cut(tokens, mask, before, upper_left) * (len(tokens) - 1) / len(tokens)),
]


# @title The sublayers of question 5.3
def normalised(x, axis):
    deviation = np.sqrt(x.var(axis, keepdims=True) + 1e-5)
    return (x - x.mean(axis, keepdims=True)) / deviation


def rounded(x, largest):
    """To 8 bits, as a scale for the largest number has them."""
    step = largest / 127 + 1e-12
    return np.round(x / step) * step


def with_neighbours(x, *offsets):
    """The sum of each token and those at the offsets, with zeros outside of the text."""
    padded = np.pad(x, ((2, 2), (0, 0)))
    return x + sum(padded[2 + k : 2 + k + len(x)] for k in offsets)


def attended(x, mask):
    """Attention of the text to itself, every query and key as it stands."""
    scores = np.where(mask, x @ x.T, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ x


def positions(x):
    return np.arange(1, len(x) + 1)[:, None]


SUBLAYERS = [
    lambda x, training: normalised(x, axis=1),
    lambda x, training: with_neighbours(x, 1),
    lambda x, training: with_neighbours(x, -1, -2),
    lambda x, training: normalised(x, axis=0) if training else x,
    lambda x, training: attended(x, np.tri(len(x)) == 1),
    lambda x, training: x + positions(x) / len(x),
    lambda x, training: rounded(x, np.abs(x).max()),
    lambda x, training: attended(x, np.tri(len(x)) == 1 if training else True),
    lambda x, training: np.cumsum(x, axis=0) / positions(x),
    lambda x, training: with_neighbours(x, -1, 2),
    lambda x, training: rounded(x, np.abs(x).max(axis=1, keepdims=True)),
]


def sublayer(number, x, training):
    """Sublayer `number` of the library on a text (n, d)."""
    kind = SUBLAYERS[(number**3 - 1) % len(SUBLAYERS)]
    return kind(np.asarray(x, dtype=float) * (1 + number % 3), training)


def outputs_of(number, text, training):
    """What sublayer `number` makes of a text (n, d), to look at."""
    return sublayer(number, text, training)


def reads_ahead(number, training):
    """Whether an output of the sublayer moves when a later token is changed.

    >>> reads_ahead(0, training=True)
    False
    """
    text = np.sin(np.arange(24.0)).reshape(8, 3)  # no two tokens alike
    other = text.copy()
    other[-1] = [50.0, -70.0, 90.0]  # small changes may be rounded away
    before, after = (sublayer(number, x, training)[:-1] for x in (text, other))
    return not np.allclose(before, after)


def safe(number):
    """Whether a causal model may use the sublayer.

    >>> safe(0)
    True
    """
    text = np.sin(np.arange(24.0)).reshape(8, 3)
    for training in (True, False):
        cut = sublayer(number, text[:4], training)
        whole = sublayer(number, text, training)[:4]
        if reads_ahead(number, training) or not np.allclose(cut, whole):
            return False
    return True


EIGHT = np.sin(np.arange(24.0)).reshape(8, 3)
OTHER = EIGHT + 100 * np.eye(8)[:, -1:]  # the last token is changed, by a lot


def moved(number, training, other=OTHER, outputs=np.s_[:-1]):
    before, after = (sublayer(number, x, training)[outputs] for x in (EIGHT, other))
    return not np.allclose(before, after, rtol=1e-9, atol=1e-9)


def moved_by_nan(number, training):
    other = np.where(np.arange(8)[:, None] == 7, np.nan, EIGHT)
    return bool(np.isnan(sublayer(number, other, training)[:-1]).any())


def cut_moves(number, training):
    whole = sublayer(number, EIGHT, training)[:4]
    return not np.allclose(sublayer(number, EIGHT[:4], training), whole)


mistakes_5_3 = [
    mistake("reads_ahead", "only in use", "You look at the sublayer in use, whatever is asked. Give it `training` as it is: some behave otherwise in training.")(lambda number, training: moved(number, False)),
    mistake("reads_ahead", "only in training", "You look at the sublayer in training, whatever is asked. Give it `training` as it is: some behave otherwise in use.")(lambda number, training: moved(number, True)),
    mistake("reads_ahead", "first output alone", "You compare output 0 with itself and no other. Some sublayers look a token or two ahead, and then only outputs near the changed one move.")(lambda number, training: moved(number, training, outputs=np.s_[:1])),
    mistake("reads_ahead", "neighbour alone", "You compare only the output just before the changed token, or your text is so short that there is no other. Some sublayers skip the next token and read the one after it: take a longer text, and compare all earlier outputs.")(lambda number, training: moved(number, training, outputs=np.s_[-2:-1])),
    mistake("reads_ahead", "small change", "Your change is small, and some leaks round it away: a sublayer that rounds by the largest number of the text moves when a large one arrives.")(lambda number, training: moved(number, training, other=EIGHT + 1e-3 * np.eye(8)[:, -1:])),
    mistake("reads_ahead", "outputs that may move", "You compare an output that may move: that of the changed token, or of a later one. Only the outputs *before* it must stay.")(lambda number, training: moved(number, training, outputs=np.s_[:])),
    mistake("reads_ahead", "earlier token changed", "You change an early token and look at later outputs, which may read it. Change a late one and look at earlier outputs.")(lambda number, training: moved(number, training, other=EIGHT + 100 * np.eye(8)[:, :1], outputs=np.s_[1:])),
    mistake("reads_ahead", "NaN in the future", "You put NaN into the future. A correct attention multiplies it by weights that are exactly 0, and 0 · NaN is NaN. Use ordinary numbers.")(lambda number, training: moved_by_nan(number, training)),
    mistake("reads_ahead", "cut, not changed", "You cut the text, or compare texts of two lengths. That is for `safe`; here the length stays, and a later token is changed.")(lambda number, training: cut_moves(number, training)),
    mistake("reads_ahead", "turned around", "True and False are exchanged: True means that an output moves.")(lambda number, training: not reads_ahead(number, training)),
    mistake("reads_ahead", "cut, not changed", "You cut the text, or compare texts of two lengths. That is for `safe`; here the length stays, and a later token is changed.")(lambda number, training: moved(number, training) or cut_moves(number, training)),
    mistake("safe", "only in use", "You try it in use alone. In training the text is there as a whole too, and some sublayers then take statistics over it.")(lambda number: not (moved(number, False) or cut_moves(number, False))),
    mistake("safe", "only in training", "You try it in training alone. A text that is scored, or a prompt, is there as a whole too, with training=False.")(lambda number: not (moved(number, True) or cut_moves(number, True))),
    mistake("safe", "length forgotten", "Later tokens change nothing here, but their number does: cut the text, and compare what is left with the outputs of the whole.")(lambda number: not (moved(number, True) or moved(number, False))),
    mistake("safe", "tokens forgotten", "Cutting this text changes nothing, since nothing large is cut off. Change a later token too, by a lot, or cut one off that is large.")(lambda number: not (cut_moves(number, True) or cut_moves(number, False))),
    mistake("safe", "turned around", "True and False are exchanged: safe means that nothing moves.")(lambda number: not safe(number)),
]


TEXTS = np.indices((3, 3, 3, 3)).reshape(4, -1).T  # all 81, a row each


def total(mask, weights=0):
    """The sum over all texts of the product of p(token i | the tokens that it may read)."""
    says = 2 * np.sin(1 + weights + np.arange(4 * 4 * 3 * 3)).reshape(4, 4, 3, 3)
    # What token j, of this kind, says about token i: logits of shape (texts, i, j, 3).
    logits = says[np.arange(4)[:, None], np.arange(4), TEXTS[:, None, :]]
    p = softmax((np.asarray(mask)[..., None] * logits).sum(axis=2))
    return np.take_along_axis(p, TEXTS[..., None], axis=2).prod(axis=1).sum()


passing_mask = np.tri(4, k=-1, dtype=bool).T  # the text is guessed from its end
failing_mask = np.zeros((4, 4), dtype=bool)
failing_mask[0, 1] = failing_mask[1, 0] = True  # each is guessed from the other


def lowest_loss(mask, p, layers):
    """The smallest mean of −log p(next token) under this mask, on throws of a die.

    >>> float(lowest_loss(np.tri(4, k=1, dtype=bool), np.array([0.5, 0.5]), 1))
    0.0
    """
    entropy = -(p * np.log(p)).sum()
    step = mask | np.eye(len(mask), dtype=bool)  # a row keeps its own token
    reach = np.linalg.matrix_power(step.astype(float), layers) > 0
    stolen = reach.diagonal(offset=1)  # row t has read token t + 1
    return entropy * (1 - stolen.mean())


def entropy_of(p):
    return -(p * np.log(p)).sum()


def reach_of(mask, layers):
    step = mask | np.eye(len(mask), dtype=bool)
    return np.linalg.matrix_power(step.astype(float), layers) > 0


def blind(mask, layers):
    return 1 - reach_of(mask, layers).diagonal(offset=1).mean()


mistakes_5_5 = [
    mistake("lowest_loss", "fair die", "ln V is the entropy of a fair die. This one is loaded: average −ln p over the faces, each as often as it falls.")(lambda mask, p, layers: np.log(len(p)) * blind(mask, layers)),
    mistake("lowest_loss", "surest face alone", "You took −ln of the likeliest face, as if it fell each time. Average −ln p over the faces, each as often as it falls.")(lambda mask, p, layers: -np.log(p.max()) * blind(mask, layers)),
    mistake("lowest_loss", "in bits", "This is in bits, with the logarithm to base 2. Asked is the natural one.")(lambda mask, p, layers: entropy_of(p) / np.log(2) * blind(mask, layers)),
    mistake("lowest_loss", "mask has no say", "This is the loss of a model that has not read a single target. Under this mask some rows have read theirs.")(lambda mask, p, layers: entropy_of(p)),
    mistake("lowest_loss", "any later token", "You took every row that looks ahead for one that knows its target. The throws are independent: only token t + 1 itself tells row t what to guess.")(lambda mask, p, layers: entropy_of(p) * (1 - np.triu(reach_of(mask, layers), 1)[:-1].any(axis=1).mean())),
    mistake("lowest_loss", "own token", "You looked whether row t reads token t. It guesses token t + 1.")(lambda mask, p, layers: entropy_of(p) * (1 - reach_of(mask, layers).diagonal()[:-1].mean())),
    mistake("lowest_loss", "one row too many", "You averaged over n rows. The last one guesses a token that is not in the text, and does not count.")(lambda mask, p, layers: entropy_of(p) * (1 - np.append(reach_of(mask, layers).diagonal(offset=1), False).mean())),
    mistake("lowest_loss", "divided by all tokens", "You divided by n. The last row guesses a token that is not in the text: how many rows are there to average?")(lambda mask, p, layers: entropy_of(p) * blind(mask, layers) * (len(mask) - 1) / len(mask)),
    mistake("lowest_loss", "next by columns", "You looked whether row t + 1 reads token t. Rows are queries: row t must have read key t + 1.")(lambda mask, p, layers: entropy_of(p) * (1 - reach_of(mask, layers).diagonal(offset=-1).mean())),
    mistake("lowest_loss", "what is left over", "You counted the rows that have read their target. Those guess for nothing; the loss is with the others.")(lambda mask, p, layers: entropy_of(p) * (1 - blind(mask, layers))),
    mistake("lowest_loss", "one layer alone", "You looked at one layer. In the next one a row reads what others have gathered: whoever reads a row that has read your target brings it to you.")(lambda mask, p, layers: entropy_of(p) * blind(mask, 1)),
    mistake("lowest_loss", "diagonal forgotten", "You took ways of exactly that many steps. A row keeps what it has, its own token first: ways may be shorter.")(lambda mask, p, layers: entropy_of(p) * (1 - (np.linalg.matrix_power(mask.astype(float), layers) > 0).diagonal(offset=1).mean())),
    mistake("lowest_loss", "any depth", "You let the layers go on for as long as something moves. There are only as many steps as layers.")(lambda mask, p, layers: entropy_of(p) * blind(mask, len(mask))),
    mistake("lowest_loss", "one layer too many", "You took one step too many: after the first layer a row has what the mask allows, and no more.")(lambda mask, p, layers: entropy_of(p) * blind(mask, layers + 1)),
]


reports = {
    "A": np.array([0.231, 1.531, 1.531, 1.0]),
    "B": np.array([0.623, 0.895, 1.19, 2.373]),
    "C": np.array([0.0, 0.0, 8.608, 63.948]),
    "D": np.array([0.939, 2.083, 2.083, 1.0]),
}


def all_reports():
    """A row for each of A, B, C and D: training, new texts in one pass, new texts cut, the sum."""
    return np.array(list(reports.values()))


diagnosis = (2, 5, 3, 6)


def chain(name, step, length=12):
    """A text in which a token is mostly the one before plus `step`, modulo 4."""
    from lib.grading.personal import own_numbers

    text = [own_numbers("", f"5.6 {name} start", 1, 0, 3)[0]]
    for throw in own_numbers("", f"5.6 {name}", length - 1, 0, 9):
        habit = step if throw < 7 else (step + throw - 6) % 4
        text.append((text[-1] + habit) % 4)
    return tuple(text)


def fitted(texts, reads, shift):
    """Shares of the counts: what followed what a row has read."""
    counts = {}
    for text in texts:
        for t in range(len(text) - 1):
            row = counts.setdefault(reads(text, t), np.full(4, 0.01))
            row[text[t + shift]] += 1
    return lambda read: (
        counts.get(read, np.ones(4)) / counts.get(read, np.ones(4)).sum()
    )


def reported(reads, shift=1, step=1, fit=True):
    texts, new = (
        [chain(f"{kind} {k}", s) for k in range(40)]
        for kind, s in (("line", 1), ("fresh", step))
    )
    p = fitted(texts if fit else [], reads, shift)
    in_one_pass, cut = (
        lambda text, t: p(reads(text, t))[text[t + shift]],
        lambda text, t: p(reads(text[: t + 1], t))[text[t + 1]],
    )

    def loss(texts, guess):
        return -np.mean([np.log(guess(x, t)) for x in texts for t in range(len(x) - 1)])

    whole = sum(
        0.25 * np.prod([in_one_pass(x, t) for t in range(3)])
        for x in map(tuple, np.indices((4, 4, 4, 4)).reshape(4, -1).T)
    )
    return np.array(
        [loss(texts, in_one_pass), loss(new, in_one_pass), loss(new, cut), whole]
    )


SUSPECTS = {
    1: lambda: reported(lambda text, t: text[t]),
    2: lambda: reported(lambda text, t: text[: t + 1]),
    3: lambda: reported(lambda text, t: text[t], shift=0),
    4: lambda: reported(lambda text, t: text[t : t + 2]),
    5: lambda: reported(lambda text, t: (text[t], *text[t + 2 : t + 3])),
    6: lambda: reported(lambda text, t: text[t], step=3),
    7: lambda: reported(lambda text, t: text[t], fit=False),
}
