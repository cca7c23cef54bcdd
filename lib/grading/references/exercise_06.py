"""Points, reference answers and known mistakes of exercise 06.

Generated from solutions/06_between_the_two.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import copy

import numpy as np

from lib.grading.known import mistake
from lib.numpy_attention import softmax

CHAPTER = "06_between_the_two"
TITLE = "Between the two"
TITLES = {
    "6.1": "From memory: a prefix, and what may be scored",
    "6.2": "When is a token finished?",
    "6.3": "Find the bug: two branches of one prompt",
    "6.4": "Break the cache of a prefix",
    "6.5": "The middle at the end",
    "6.6": "Diagnosis",
}
POINTS = {
    "6.1": 2,
    "6.2": 2,
    "6.3": 2,
    "6.4": 2,
    "6.5": 2,
    "6.6": 2,
}


def prefix_mask(n, p):
    """Which query (row) may read which key (column); True means may attend.

    >>> prefix_mask(1, 0)
    array([[ True]])
    """
    i, j = np.ogrid[:n, :n]
    return (j <= i) | (j < p)


def loss_rows(n, p):
    """The rows whose next-token loss counts.

    >>> loss_rows(1, 0)
    array([False])
    """
    target = np.arange(n) + 1  # the token that each row guesses
    return (target >= p) & (target < n)


def loss_by_slice(n, p):
    rows = np.zeros(n, dtype=bool)
    rows[p - 1 : n - 1] = True
    return rows


mistakes_6_1 = [
    mistake("prefix_mask", "causal", "This is the causal mask. Tokens of the prefix may read later ones, as far as the prefix goes.")(lambda n, p: np.tri(n, dtype=bool)),
    mistake("prefix_mask", "prefix alone", "The tokens after the prefix read the prefix and nothing else. They may read what stands before them, and themselves.")(lambda n, p: np.arange(n) < p + np.zeros((n, 1))),
    mistake("prefix_mask", "both at once", "You joined the two rules with *and*. A key is allowed if one of them allows it.")(lambda n, p: np.tri(n, dtype=bool) & (np.arange(n) < p)),
    mistake("prefix_mask", "prefix too long", "Your prefix has one token more: token p is the first one after it, since positions count from 0.")(lambda n, p: np.tri(n, dtype=bool) | (np.arange(n) <= p)),
    mistake("prefix_mask", "prefix too short", "Your prefix has one token less: its last token is number p − 1.")(lambda n, p: np.tri(n, dtype=bool) | (np.arange(n) < p - 1)),
    mistake("prefix_mask", "rows for columns", "The rows of the prefix read the whole text, what comes after the prefix too. It is the keys of the prefix that all may read: a rule about columns.")(lambda n, p: np.tri(n, dtype=bool) | (np.arange(n) < p)[:, None]),
    mistake("loss_rows", "every row", "The rows at the beginning of the prefix have read the token that they guess. What does their loss measure?")(lambda n, p: np.arange(n) < n - 1),
    mistake("loss_rows", "last row of the prefix left out", "One row is missing: whose guess is the first token after the prefix, and has it read that token?")(lambda n, p: (np.arange(n) >= p) & (np.arange(n) < n - 1)),
    mistake("loss_rows", "last row of the text", "The last row guesses a token that is not in the text.")(lambda n, p: np.arange(n) >= p - 1),
    mistake("loss_rows", "slice from −1", "Without a prefix your slice begins at −1, which Python counts from the end, so it is empty. Then every row but the last counts.")(lambda n, p: loss_by_slice(n, p)),
    mistake("loss_rows", "no place for the last row", "One row has no place in your answer. Give a boolean for each of the n tokens; the last one guesses nothing that is in the text, so it is False.")(lambda n, p: np.arange(1, n) >= p),
    mistake("loss_rows", "rows of the prefix", "These are the rows of the prefix. Most of them have read what they guess.")(lambda n, p: np.arange(n) < p),
    mistake("loss_rows", "targets for rows", "These are the tokens that may be guessed. Asked are the rows that guess them, each one before its token.")(lambda n, p: np.arange(n) >= p),
]


def finished(mask, layers):
    """The number of the last token that each output of the last layer waits for.

    >>> finished(np.tri(4, dtype=bool), 3).tolist()
    [0, 1, 2, 3]
    """
    last = np.arange(len(mask))
    step = mask | np.eye(len(mask), dtype=bool)
    for _ in range(layers):  # wait for all whom I read, and they for all whom they read
        last = np.where(step, last, 0).max(axis=1)
    return last


def informed(mask, layers, p):
    """Which tokens of the source have read all of it.

    >>> informed(np.tri(4, dtype=bool), 3, p=3).tolist()
    [False, False, True]
    """
    step = mask | np.eye(len(mask), dtype=bool)
    reach = np.linalg.matrix_power(step.astype(float), layers) > 0
    return reach[:p, :p].all(axis=1)


def reach_of(mask, layers):
    step = mask | np.eye(len(mask), dtype=bool)
    return np.linalg.matrix_power(step.astype(float), layers) > 0


def last_of(reach):
    return np.where(reach, np.arange(reach.shape[1]), 0).max(axis=1)


def followed(mask, layers):
    """Whom the last one that I read reads last, and so on."""
    last = own = last_of(reach_of(mask, 1))
    for _ in range(layers - 1):
        last = own[last]
    return last


def in_place(mask, layers, order):
    """Each layer reads, in part, what it has just written."""
    last = np.arange(len(mask))
    for _ in range(layers):
        for i in order:
            last[i] = max(last[i], *last[mask[i]], 0)
    return last


mistakes_6_2 = [
    mistake("finished", "one layer alone", "That is the last token that each one reads. In the next layer it also waits for those whom its readings have read.")(lambda mask, layers: last_of(reach_of(mask, 1))),
    mistake("finished", "any depth", "You followed the readings to their end. There are only as many steps as layers.")(lambda mask, layers: last_of(reach_of(mask, len(mask)))),
    mistake("finished", "own token forgotten", "A token keeps what it has, its own too, from layer to layer. So a way may be shorter than the number of layers.")(lambda mask, layers: last_of(np.linalg.matrix_power(mask.astype(float), layers) > 0)),
    mistake("finished", "counted from 1", "You gave how many tokens must have arrived. Asked is the number of the last one, counted from 0.")(lambda mask, layers: last_of(reach_of(mask, layers)) + 1),
    mistake("finished", "readers for those read", "You looked for the last token that reads this one. Who waits is the reader: row i is what token i reads.")(lambda mask, layers: last_of(reach_of(mask, layers).T)),
    mistake("finished", "only the last one followed", "You asked, again and again, whom the *last* one that it reads waits for. Another one that it reads may wait longer.")(lambda mask, layers: followed(mask, layers)),
    mistake("finished", "written while read", "You change the list while you read it. Then a row reads what others have in this layer, and not in the one before: write each layer into a list of its own.")(lambda mask, layers: in_place(mask, layers, range(len(mask)))),
    mistake("finished", "written while read", "You change the list while you read it. Then a row reads what others have in this layer, and not in the one before: write each layer into a list of its own.")(lambda mask, layers: in_place(mask, layers, range(len(mask))[::-1])),
    mistake("finished", "number of those read", "You counted the tokens that it reads. Where it leaves some out, the last of them has a larger number.")(lambda mask, layers: reach_of(mask, layers).sum(axis=1) - 1),
    mistake("informed", "access for representation", "You looked at which tokens of the source the end of the text reads. That is the summary's access. Asked is what the tokens of the source have read themselves.")(lambda mask, layers, p: reach_of(mask, layers)[-1, :p]),
    mistake("informed", "one layer alone", "You looked at one layer. In the next, a token also has what those that it reads have read.")(lambda mask, layers, p: reach_of(mask, 1)[:p, :p].all(axis=1)),
    mistake("informed", "readers for those read", "You found the tokens that all of the source have read. Asked are those that have read all of it: rows.")(lambda mask, layers, p: reach_of(mask, layers)[:p, :p].all(axis=0)),
    mistake("informed", "whole text", "You asked for all of the text, what comes after the source too.")(lambda mask, layers, p: reach_of(mask, layers)[:p].all(axis=1)),
    mistake("informed", "rows of the whole text", "You gave a boolean for every token of the text. Asked are the p tokens of the source.")(lambda mask, layers, p: reach_of(mask, layers)[:, :p].all(axis=1)),
    mistake("informed", "source cut out", "You cut the source out of the mask. Where tokens after it are read, they may carry something back: take the whole mask, and the source's part of the result.")(lambda mask, layers, p: reach_of(mask[:p, :p], layers).all(axis=1)),
    mistake("informed", "last token alone", "You looked whether it has read the last token of the source. It must have read all of them.")(lambda mask, layers, p: reach_of(mask, layers)[:p, p - 1]),
    mistake("informed", "own token forgotten", "A token keeps what it has, its own too, from layer to layer. So a way may be shorter than the number of layers.")(lambda mask, layers, p: (np.linalg.matrix_power(mask.astype(float), layers) > 0)[:p, :p].all(axis=1)),
]


class Cache:
    """The tokens so far, in an array with room for more; a token is its own key and value."""

    def __init__(self, width, room=100):
        self.held, self.length = np.zeros((room, width)), 0

    def attend(self, token):
        """The output of the next token, of shape (width,)."""
        self.held[self.length] = token
        self.length += 1
        past = self.held[: self.length]
        return softmax(past @ token) @ past


def suspect_beam(prompt, first, second):
    """Two continuations of one prompt, in turn."""
    cache = Cache(prompt.shape[1])
    for token in prompt:
        cache.attend(token)
    one, other = copy.copy(cache), copy.copy(cache)  # now each goes on by itself
    pairs = zip(first, second, strict=True)
    outputs = [(one.attend(a), other.attend(b)) for a, b in pairs]
    return np.array(outputs).swapaxes(0, 1)


def both_branches(prompt, first, second):
    """The outputs of the two branches, one below the other, to look at."""
    return fixed_beam(prompt, first, second).reshape(-1, prompt.shape[1])


def fixed_beam(prompt, first, second):
    """Two continuations of one prompt, in turn, and each as if it were alone.

    >>> zeros = np.zeros((1, 2))
    >>> fixed_beam(zeros, zeros, zeros).shape
    (2, 1, 2)
    """
    cache = Cache(prompt.shape[1])
    for token in prompt:
        cache.attend(token)
    one, other = copy.copy(cache), copy.copy(cache)
    other.held = cache.held.copy()  # a copy of the object shares its array
    pairs = zip(first, second, strict=True)
    outputs = [(one.attend(a), other.attend(b)) for a, b in pairs]
    return np.array(outputs).swapaxes(0, 1)


# Queries of 0 read their past evenly. Of 1, 1, 0 the second branch makes 1, −2, 0.
prompt, own, foreign = np.array([[1.0]]), [[1.0], [0.0]], [[-2.0], [0.0]]
breaking_call = (prompt, np.array(own), np.array(foreign))


def after_prompt(prompt):
    cache = Cache(prompt.shape[1])
    for token in prompt:
        cache.attend(token)
    return cache


def in_turn(one, other, first, second):
    outputs = [
        (one.attend(a), other.attend(b)) for a, b in zip(first, second, strict=True)
    ]
    return np.array(outputs).swapaxes(0, 1)


def one_after_another(prompt, first, second):
    cache = after_prompt(prompt)
    return np.array(
        [[cache.attend(token) for token in tokens] for tokens in (first, second)]
    )


def with_scale(prompt, first, second):
    """Two full passes with scores that are divided by √d."""
    texts = [np.concatenate([prompt, tokens]) for tokens in (first, second)]
    return np.array(
        [
            [
                softmax(x[:t] @ x[t - 1] / np.sqrt(x.shape[1])) @ x[:t]
                for t in range(len(prompt) + 1, len(x) + 1)
            ]
            for x in texts
        ]
    )


def unread(prompt, first, second):
    """Each output reads the past without its own token."""
    texts = [np.concatenate([prompt, tokens]) for tokens in (first, second)]
    n = len(prompt)
    return np.array(
        [[softmax(x[:t] @ x[t]) @ x[:t] for t in range(n, len(x))] for x in texts]
    )


mistakes_6_3 = [
    mistake("fixed_beam", "bug still there", "This gives the same as the suspect: each branch still reads what the other has written. What of the cache do the two copies share?")(lambda prompt, first, second: suspect_beam(prompt, first, second)),
    mistake("fixed_beam", "one cache for both, in turn", "Both branches go on in one cache, with one length: each reads all that the other has written.", bug="cache_shared_by_branches")(lambda prompt, first, second: (lambda cache: in_turn(cache, cache, first, second))(after_prompt(prompt))),
    mistake("fixed_beam", "one cache for both, one after another", "The second branch begins where the first has ended, and reads all of it. It must begin where the prompt has ended.", bug="cache_shared_by_branches")(lambda prompt, first, second: one_after_another(prompt, first, second)),
    mistake("fixed_beam", "prompt forgotten", "Each branch begins with an empty cache. It must read the prompt too.")(lambda prompt, first, second: in_turn(Cache(prompt.shape[1]), Cache(prompt.shape[1]), first, second)),
    mistake("fixed_beam", "prompt for one branch alone", "The second branch begins with an empty cache. It must read the prompt too.")(lambda prompt, first, second: in_turn(after_prompt(prompt), Cache(prompt.shape[1]), first, second)),
    mistake("fixed_beam", "prompt read twice", "The prompt stands twice in the cache. Each branch needs it once.")(lambda prompt, first, second: in_turn(*(after_prompt(np.tile(prompt, (2, 1))) for _ in range(2)), first, second)),
    mistake("fixed_beam", "tokens before branches", "Your first axis counts the tokens and your second the branches. Asked are two branches with m tokens each.")(lambda prompt, first, second: np.swapaxes(fixed_beam(prompt, first, second), 0, 1)),
    mistake("fixed_beam", "scores divided by √d", "You divided the scores by √d, as `attention` does by itself. `Cache` does not: `scale=1`.")(lambda prompt, first, second: with_scale(prompt, first, second)),
    mistake("fixed_beam", "own token not read", "The newest token does not read itself. It enters the cache before it asks.", bug="own_position_left_out")(lambda prompt, first, second: unread(prompt, first, second)),
]


def means(text, mask, layers=2):
    """In each layer every token becomes the mean of those that its row of the mask allows."""
    shares = mask / mask.sum(axis=1, keepdims=True)
    for _ in range(layers):
        text = shares @ text
    return text


def answer(first, second, stale):
    """What the last token of the second turn has heard, after two layers."""
    text = np.concatenate([first, second])
    mask = np.ones((len(text), len(text)), dtype=bool)
    if stale:
        mask[: len(first), len(first) :] = False  # computed before the second turn came
    return means(text, mask)[-1]


wrong_answer = (
    np.full(4, -1.0),
    np.full(4, 1.0),
)  # two turns of equal length, far apart
right_answer = (np.array([0.0]), np.array([1.0, -1.0]))  # two turns of the same mean


PRE, SUF, MID, END = -1, -2, -3, -4


def fim(tokens, start, end, suffix_first):
    """The text with its middle at the end.

    >>> fim(np.array([7, 1, 2, 9, 4]), 1, 3, suffix_first=False).tolist()
    [-1, 7, -2, 9, 4, -3, 1, 2, -4]
    """
    prefix, suffix = [PRE, *tokens[:start]], [SUF, *tokens[end:]]
    before = suffix + prefix if suffix_first else prefix + suffix
    return np.array([*before, MID, *tokens[start:end], END])


def original(arranged):
    """The text that was rearranged, in its own order.

    >>> original(np.array([-1, 7, -2, 9, 4, -3, 1, 2, -4])).tolist()
    [7, 1, 2, 9, 4]
    """
    marks = np.flatnonzero(arranged < 0)
    parts = {part[0]: part[1:] for part in np.split(arranged, marks[1:])}
    return np.concatenate([parts[PRE], parts[MID], parts[SUF]])


def arranged_as(prefix, suffix, middle, suffix_first):
    before = (
        [SUF, *suffix, PRE, *prefix] if suffix_first else [PRE, *prefix, SUF, *suffix]
    )
    return np.array([*before, MID, *middle, END])


def without_empty(tokens, start, end, suffix_first):
    parts = [(PRE, tokens[:start]), (SUF, tokens[end:])]
    parts = [*(parts[::-1] if suffix_first else parts), (MID, tokens[start:end])]
    return np.array(
        [x for mark, part in parts if len(part) for x in (mark, *part)] + [END]
    )


def without_empty_suffix(tokens, start, end, suffix_first):
    suffix = [] if end == len(tokens) else [SUF, *tokens[end:]]
    prefix = [PRE, *tokens[:start]]
    before = suffix + prefix if suffix_first else prefix + suffix
    return np.array([*before, MID, *tokens[start:end], END])


def without_empty_prefix(tokens, start, end, suffix_first):
    prefix = [PRE, *tokens[:start]] if start else []
    suffix = [SUF, *tokens[end:]]
    before = suffix + prefix if suffix_first else prefix + suffix
    return np.array([*before, MID, *tokens[start:end], END])


def between_marks(arranged, order):
    """The parts from mark to mark, as if the marks always stood in this order."""
    tokens = arranged.tolist()
    places = [tokens.index(mark) for mark in (*order, MID, END)]
    one, two, middle = (tokens[places[k] + 1 : places[k + 1]] for k in range(3))
    prefix, suffix = (one, two) if order[0] == PRE else (two, one)
    return np.array(prefix + middle + suffix)


def parts_of(arranged):
    marks = np.flatnonzero(arranged < 0)
    return [part[1:] for part in np.split(arranged, marks[1:])][:3]


mistakes_6_5 = [
    mistake("fim", "middle left in place", "The middle still stands between the two others. It goes to the end, where a causal model has read both when it writes it.")(lambda tokens, start, end, suffix_first: np.array([PRE, *tokens[:start], MID, *tokens[start:end], SUF, *tokens[end:], END])),
    mistake("fim", "no end", "`END` is missing. How would the model tell that the middle is complete?")(lambda tokens, start, end, suffix_first: arranged_as(tokens[:start], tokens[end:], tokens[start:end], suffix_first)[:-1]),
    mistake("fim", "order not looked at", "The prefix comes first, whatever `suffix_first` says.")(lambda tokens, start, end, suffix_first: arranged_as(tokens[:start], tokens[end:], tokens[start:end], False)),
    mistake("fim", "orders exchanged", "The two orders are exchanged.")(lambda tokens, start, end, suffix_first: arranged_as(tokens[:start], tokens[end:], tokens[start:end], not suffix_first)),
    mistake("fim", "parts exchanged, marks not", "With `suffix_first` the parts are exchanged and their marks are not: each part keeps the mark in front of it.")(lambda tokens, start, end, suffix_first: np.array([PRE, *tokens[end:], SUF, *tokens[:start], MID, *tokens[start:end], END]) if suffix_first else arranged_as(tokens[:start], tokens[end:], tokens[start:end], False)),
    mistake("fim", "end included", "Your middle holds token `end` too. It goes up to that token and does not include it.")(lambda tokens, start, end, suffix_first: arranged_as(tokens[:start], tokens[end + 1 :], tokens[start : end + 1], suffix_first)),
    mistake("fim", "added, not joined", "`+` joins lists. Where one side is an array, it adds numbers. Make lists of the parts, or use `np.concatenate`.")(lambda tokens, start, end, suffix_first: PRE + tokens[:start] + SUF + tokens[end:] + MID + tokens[start:end] + END),
    mistake("fim", "empty parts left out", "You left out the mark of an empty part. It stands all the same, or nobody could tell which part is missing.")(lambda tokens, start, end, suffix_first: without_empty(tokens, start, end, suffix_first)),
    mistake("fim", "empty parts left out", "You left out the mark of an empty part. It stands all the same, or nobody could tell which part is missing.")(lambda tokens, start, end, suffix_first: without_empty_suffix(tokens, start, end, suffix_first)),
    mistake("fim", "empty parts left out", "You left out the mark of an empty part. It stands all the same, or nobody could tell which part is missing.")(lambda tokens, start, end, suffix_first: without_empty_prefix(tokens, start, end, suffix_first)),
    mistake("fim", "end taken for a length", "You took `end` for the length of the middle. It is the position at which the suffix begins.")(lambda tokens, start, end, suffix_first: arranged_as(tokens[:start], tokens[start + end :], tokens[start : start + end], suffix_first)),
    mistake("original", "order as it stands", "You took the marks out and left the parts as they stand. The middle belongs between the prefix and the suffix.")(lambda arranged: np.concatenate(parts_of(arranged))),
    mistake("original", "prefix first", "You took the first part for the prefix. With the suffix first it is the suffix: the mark tells.")(lambda arranged: (lambda one, two, middle: np.concatenate([one, middle, two]))(*parts_of(arranged))),
    mistake("original", "suffix first", "You took the first part for the suffix. With the prefix first it is the prefix: the mark tells.")(lambda arranged: (lambda one, two, middle: np.concatenate([two, middle, one]))(*parts_of(arranged))),
    mistake("original", "marks in one order alone", "You look for the marks in one order alone. `SUF` stands before `PRE` or after it: a part goes from its own mark to the next one, whichever that is.")(lambda arranged: between_marks(arranged, (PRE, SUF))),
    mistake("original", "marks in one order alone", "You look for the marks in one order alone. `SUF` stands before `PRE` or after it: a part goes from its own mark to the next one, whichever that is.")(lambda arranged: between_marks(arranged, (SUF, PRE))),
    mistake("original", "end kept", "`END` is still there. It is a mark, and no token of the text.")(lambda arranged: np.append(original(arranged), END)),
]


text = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
outputs = {
    "A": np.array([3.75, 3.75, 3.75, 3.75, 3.75, 3.75, 4.158]),
    "B": np.array([1.5, 1.5, 2.625, 2.625, 3.34, 4.533, 6.478]),
    "C": np.array([3.75, 3.75, 3.75, 3.75, 4.24, 5.283, 7.12]),
    "D": np.array([3.75, 3.75, 3.75, 3.75, 3.75, 3.75, 3.75]),
}


def all_outputs():
    """A row for each of A, B, C and D."""
    return np.array(list(outputs.values()))


diagnosis = (7, 3, 1, 4)


ROWS, KEYS = np.ogrid[:7, :7]
PREFIX = (KEYS <= ROWS) | (KEYS < 4)
AFTER = ROWS >= 4  # the three that come one by one
MASKS = {
    1: PREFIX,
    2: KEYS <= ROWS,
    3: (KEYS <= ROWS) | (KEYS < 2) | ((ROWS >= 2) & (KEYS < 4)),
    4: np.where(AFTER, KEYS == 0, PREFIX),
    5: np.ones((7, 7), dtype=bool),
    6: PREFIX & ~(AFTER & (KEYS < 4)),
    7: PREFIX & ~(AFTER & (KEYS == ROWS)),
}
SUSPECTS = {
    number: lambda text, mask=mask: means(text, mask) for number, mask in MASKS.items()
}
