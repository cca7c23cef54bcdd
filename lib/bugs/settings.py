"""The settings of the zoo: where masks are used, each with a correct function."""

from dataclasses import replace

import numpy as np

from lib.bugs.exhibit import W_K, W_Q, W_V, N, Setting, X
from lib.masks import Mask, causal, document, full, padding, prefix, window
from lib.numpy_attention import attention


def scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """s_ij = q_i · k_j / √d, (n_q, n_k)."""
    return q @ k.T / np.sqrt(q.shape[-1])


def projected(x, values):
    """Queries, keys and values of a text; `values` replaces the last where it is not None."""
    return x @ W_Q, x @ W_K, x @ W_V if values is None else values


# ---- Causal attention ----


def causal_attention(q, k, v):
    return attention(q, k, v, causal)


CAUSAL = Setting(
    "causal attention",
    "f(q, k, v)",
    causal_attention,
    lambda f, x, values: f(*projected(x, values)),
)
# The same with scores of several thousands.
LOUD = replace(CAUSAL, name="causal attention, large scores", text=60 * X)

WINDOW = 3


def sliding_attention(q, k, v):
    return attention(q, k, v, causal & window(WINDOW))


SLIDING = replace(
    CAUSAL,
    name=f"causal attention, window of {WINDOW}",
    right=sliding_attention,
    mask=causal & window(WINDOW),
)

# A text padded on the left: its first two tokens are filler, and their queries may read nothing.
FILLER = 2
LEFT_PADDED = causal & ~prefix(FILLER)


def left_padded_attention(q, k, v):
    return attention(q, k, v, LEFT_PADDED)


EMPTY_ROWS = replace(
    CAUSAL,
    name=f"causal attention, {FILLER} tokens of padding on the left",
    right=left_padded_attention,
    mask=LEFT_PADDED,
)


def masked_always(q, k, v, training):
    return attention(q, k, v, causal)


IN_USE = Setting(
    "causal attention, in use",
    "f(q, k, v, training)",
    masked_always,
    lambda f, x, values: f(*projected(x, values), training=False),
)


# ---- Batches: padding, heads, packed documents ----

LENGTH = 4
NEVER = ~full  # a bidirectional encoder has no future to hide
# Each output moves with its own token, if only because that token asks the question.
TEXT_OR_ITSELF = padding(LENGTH) | window(1)


def padded_attention(q, k, v, length):
    return attention(q, k, v, padding(length))


PADDED = Setting(
    f"an encoder, {LENGTH} tokens and padding on the right",
    "f(q, k, v, length)",
    padded_attention,
    lambda f, x, values: f(*projected(x, values), length=LENGTH),
    mask=TEXT_OR_ITSELF,
    future=NEVER,
)


def padding_for_each_head(q, k, v, lengths, heads):
    return attention(q, k, v, padding(np.repeat(lengths, heads)))


def run_with_heads(f, x, values):
    """Two texts with two heads each, stacked as (text · head, tokens, features); the first text is x."""
    other = np.random.default_rng(6).normal(size=x.shape)
    q, k, v = zip(projected(x, values), projected(other, values), strict=True)
    q, k, v = (np.repeat(np.stack(pair), 2, axis=0) for pair in (q, k, v))
    outputs = f(q, k, v, np.array([LENGTH, N]), heads=2)
    return outputs[:2].mean(axis=0)


HEADS = Setting(
    f"an encoder, two texts of {LENGTH} and {N} tokens, two heads",
    "f(q, k, v, lengths, heads)",
    padding_for_each_head,
    run_with_heads,
    mask=TEXT_OR_ITSELF,
    future=NEVER,
)

IDS = [0, 0, 0, 1, 1, 1]


def document_by_document(q, k, v, ids):
    return attention(q, k, v, causal & document(ids))


PACKED = Setting(
    "two documents in one row",
    "f(q, k, v, ids)",
    document_by_document,
    lambda f, x, values: f(*projected(x, values), ids=IDS),
    mask=causal & document(IDS),
)


# ---- Step by step, with a cache ----

PROMPT = 4


def in_two_calls(f, x, values):
    """The prompt by a correct function, then the other tokens at once by `f`."""
    q, k, v = projected(x, values)
    prompt = causal_attention(q[:PROMPT], k[:PROMPT], v[:PROMPT])
    return np.concatenate([prompt, f(q[PROMPT:], k, v)])


CHUNK = Setting(
    f"{N - PROMPT} new queries, {N} keys in the cache",
    "f(q, k, v)",
    causal_attention,
    in_two_calls,
)


def extend(cache, k, v):
    """A cache (keys, values) with more keys and values; None is an empty cache."""
    return (
        (k, v)
        if cache is None
        else tuple(map(np.concatenate, zip(cache, (k, v), strict=True)))
    )


def prefill_and_go_on(f, x, values):
    q, k, v = projected(x, values)
    outputs, cache = f(q[:PROMPT], k[:PROMPT], v[:PROMPT], (k[:0], v[:0]))
    more, _ = f(q[PROMPT:], k[PROMPT:], v[PROMPT:], cache)
    return np.concatenate([outputs, more])


def with_a_cache(q, k, v, cache):
    keys, values = extend(cache, k, v)
    return attention(q, keys, values, causal), (keys, values)


PREFILL = Setting(
    f"a prompt of {PROMPT} tokens, then {N - PROMPT} more",
    "f(q, k, v, cache)",
    with_a_cache,
    prefill_and_go_on,
)

BRANCHES = [0, 0, 1, 1, 2, 2]


def branch_from_a_copy(q, k, v, cache):
    cache = cache + [(k, v)]  # noqa: RUF005 (the bug next door is one character away)
    keys, values = map(np.concatenate, zip(*cache, strict=True))
    return attention(q, keys, values, causal), cache


def go_on_twice(f, x, values):
    """A prompt of two tokens, which is continued by two tokens, and then, anew, by two others."""
    prompt, first, second = (
        [part[2 * i : 2 * i + 2] for part in projected(x, values)] for i in range(3)
    )
    outputs, cache = f(*prompt, [])
    return np.concatenate([outputs, f(*first, cache)[0], f(*second, cache)[0]])


BRANCHING = Setting(
    "one prompt, two continuations",
    "f(q, k, v, cache)",
    branch_from_a_copy,
    go_on_twice,
    mask=causal & (prefix(2) | document(BRANCHES)),
)


# ---- A selection of keys ----


def best(values: np.ndarray, k: int, axis: int = -1) -> np.ndarray:
    """Boolean array: the k largest along an axis."""
    places = np.argsort(-values, axis=axis, kind="stable")
    ranks = np.argsort(places, axis=axis, kind="stable")
    return ranks < k


def two_best_of_the_past(q, k, v):
    allowed = causal.dense(len(q), len(k))
    chosen = best(np.where(allowed, scores(q, k), -np.inf), 2)
    return attention(q, k, v, chosen & allowed)


SELECTION = replace(
    CAUSAL, name="causal attention, the two best keys", right=two_best_of_the_past
)


# ---- Around attention: functions of the text itself ----


def of_the_text(name, right, **more):
    return Setting(
        name, "f(x)", right, lambda f, x, values: f(x), has_values=False, **more
    )


def normalised_token_by_token(x):
    return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)


NORMALISING = of_the_text("normalising", normalised_token_by_token)


def rounded_to(step, x):
    return np.round(x / step) * step


def rounded_token_by_token(x):
    return rounded_to(np.abs(x).max(axis=1, keepdims=True) / 127, x)


ROUNDING = of_the_text("rounding to 8 bits", rounded_token_by_token)


def mean_of_three(padded):
    """The mean of each three neighbours of n + 2 tokens."""
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def mean_of_the_last_three(x):
    return mean_of_three(np.pad(x, ((2, 0), (0, 0))))


CONVOLUTION = of_the_text("a convolution over three tokens", mean_of_the_last_three)


def with_positions(x):
    return x + np.arange(len(x))[:, None]


POSITIONS = of_the_text("positions", with_positions, by_prefix=True)


def a_mask_for_each_library(x):
    hidden = attention(x, x, x, causal)
    return library_with_true_for_blocked(hidden, hidden, hidden, ~causal.dense(len(x)))


def library_with_true_for_blocked(q, k, v, blocked):
    """An attention function in whose masks True means *blocked*, as in `nn.MultiheadAttention`."""
    return attention(q, k, v, ~blocked)


TWO_LIBRARIES = of_the_text("two layers from two libraries", a_mask_for_each_library)

# What predicts token t must not have read token t.
STRICTLY_BEFORE = Mask(lambda i, j: j < i)


def shifted(hidden):
    start = np.zeros((1, hidden.shape[1]))  # nothing has been read before token 0
    return np.concatenate([start, hidden[:-1]])


TARGETS = Setting(
    "the row that predicts token t",
    "f(hidden)",
    shifted,
    lambda f, x, values: f(causal_attention(*projected(x, values))),
    mask=STRICTLY_BEFORE,
    future=~STRICTLY_BEFORE,
)
