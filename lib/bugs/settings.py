"""The settings of the zoo: where masks are used, each with a correct function."""

from dataclasses import replace

import numpy as np

from lib.bugs.exhibit import W_K, W_Q, W_V, N, Setting, X
from lib.masks import Mask, causal, document, full, padding, prefix, window
from lib.numpy_attention import attention, attention_weights, softmax


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


DROPPED = 0.5


def dropout(weights, rng):
    return weights * (rng.random(weights.shape) >= DROPPED) / (1 - DROPPED)


def dropout_in_training(q, k, v, training, rng):
    weights = attention_weights(q, k, causal)
    return (dropout(weights, rng) if training else weights) @ v


WITH_DROPOUT = Setting(
    "causal attention with dropout, in use",
    "f(q, k, v, training, rng)",
    dropout_in_training,
    lambda f, x, values: f(
        *projected(x, values), training=False, rng=np.random.default_rng(0)
    ),
)

CAP = 2.0


def capped(scores):
    """Scores between −CAP and CAP."""
    return CAP * np.tanh(scores / CAP)


def capped_attention(q, k, v):
    masked = np.where(causal.dense(len(q)), capped(scores(q, k)), -np.inf)
    return softmax(masked) @ v


CAPPED = replace(
    CAUSAL, name="causal attention with a soft cap", right=capped_attention
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


# Two texts as rows of a batch, (texts, tokens, features); x is the second.


def each_text_by_itself(x):
    return attention(x, x, x, causal)


def second_of_two(f, x, values):
    other = np.random.default_rng(6).normal(size=x.shape)
    return f(np.stack([other, x]))[1]


BATCH = Setting(
    "two texts as rows of a batch",
    "f(x)",
    each_text_by_itself,
    second_of_two,
    has_values=False,
)


def scores_of_heads(q, k):
    """(texts, heads, tokens, tokens)."""
    return q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])


def one_mask_for_all_heads(q, k, v, allowed):
    masked = np.where(allowed[:, None], scores_of_heads(q, k), -np.inf)
    return softmax(masked) @ v


def run_with_a_mask_for_each_text(f, x, values):
    """Two texts with two heads each, (texts, heads, tokens, features); the first text is x, and is padded."""
    other = np.random.default_rng(6).normal(size=x.shape)
    q, k, v = zip(projected(x, values), projected(other, values), strict=True)
    q, k, v = (np.repeat(np.stack(pair)[:, None], 2, axis=1) for pair in (q, k, v))
    allowed = padding([LENGTH, N]).dense(N)
    return f(q, k, v, allowed)[0].mean(axis=0)


TEXTS_AND_HEADS = replace(
    HEADS,
    name=f"an encoder, two texts of {LENGTH} and {N} tokens, a mask (texts, tokens, tokens)",
    signature="f(q, k, v, allowed)",
    right=one_mask_for_all_heads,
    run=run_with_a_mask_for_each_text,
)


def split(x):
    """(tokens, features) to (heads, tokens, features / heads)."""
    return x.reshape(len(x), 2, -1).swapaxes(0, 1)


def two_heads(q, k, v):
    heads = attention(split(q), split(k), split(v), causal)
    return heads.swapaxes(0, 1).reshape(q.shape)


TWO_HEADS = replace(
    CAUSAL,
    name="causal attention, two heads",
    right=two_heads,
    run=lambda f, x, values: f(*projected(x, None)),
    has_values=False,
    by_prefix=True,
)

# Memory that nobody has written may hold anything.
NEVER_WRITTEN = np.nan


def values_of_the_text(q, k, v, length):
    text = np.arange(len(k)) < length
    return attention(q, k, np.where(text[:, None], v, 0), text)


def with_memory_never_written(f, x, values):
    q, k, v = projected(x, values)
    v = v.copy()
    v[LENGTH:] = NEVER_WRITTEN
    return f(q, k, v, length=LENGTH)


UNWRITTEN = replace(
    PADDED,
    name=f"an encoder, {LENGTH} tokens, and memory behind them that holds NaN",
    right=values_of_the_text,
    run=with_memory_never_written,
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


# ---- Served, token by token ----


def one_by_one(f, right, x, values):
    """The prompt at once by a correct function, then each token of its own by `f`."""
    q, k, v = projected(x, values)
    steps = [right(q[:PROMPT], k[:PROMPT], v[:PROMPT])]
    steps += [f(q[t : t + 1], k[: t + 1], v[: t + 1]) for t in range(PROMPT, len(x))]
    return np.concatenate(steps)


SLIDING_STEPS = replace(
    SLIDING,
    name=f"a window of {WINDOW}, token by token",
    run=lambda f, x, values: one_by_one(f, sliding_attention, x, values),
)

SLOPE = 0.5


def sloped_attention(q, k, v):
    biased = scores(q, k) + SLOPE * np.arange(len(k))
    first = len(k) - len(q)
    allowed = np.arange(len(k)) <= first + np.arange(len(q))[:, None]
    return softmax(np.where(allowed, biased, -np.inf)) @ v


SLOPED_STEPS = Setting(
    "a bias that grows with the position, token by token",
    "f(q, k, v)",
    sloped_attention,
    lambda f, x, values: one_by_one(f, sloped_attention, x, values),
)

SLOTS = 8


def what_is_written(q, keys, values, length):
    return attention(q, keys[:length], values[:length])


def in_fixed_slots(f, x, values):
    q, k, v = projected(x, values)
    outputs = []
    for t in range(len(x)):
        keys, cached = (np.zeros((SLOTS, part.shape[1])) for part in (k, v))
        keys[: t + 1], cached[: t + 1] = k[: t + 1], v[: t + 1]
        outputs.append(f(q[t : t + 1], keys, cached, t + 1))
    return np.concatenate(outputs)


FIXED_CACHE = Setting(
    f"one token at a time, a cache of {SLOTS} slots",
    "f(q, keys, values, length)",
    what_is_written,
    in_fixed_slots,
)


def without_the_rejected(q, k, v, cache, accepted):
    kept = tuple(part[:accepted] for part in cache)
    keys, values = extend(kept, k, v)
    return attention(q, keys, values, causal), (keys, values)


def draft_and_go_on(f, x, values):
    """A prompt of two tokens, a draft of two that is rejected, and the two tokens that come instead."""
    prompt, draft, rest = (
        [part[2 * i : 2 * i + 2] for part in projected(x, values)] for i in range(3)
    )
    first, cache = without_the_rejected(*prompt, (prompt[1][:0], prompt[2][:0]), 0)
    drafted, cache = without_the_rejected(*draft, cache, accepted=2)
    return np.concatenate([first, drafted, f(*rest, cache, accepted=2)[0]])


DRAFTS = Setting(
    "a prompt, a rejected draft, and what is written instead",
    "f(q, k, v, cache, accepted)",
    without_the_rejected,
    draft_and_go_on,
    mask=causal & (prefix(2) | document(BRANCHES)),
)


def rows_with_their_past(q, k, v, cache, rows):
    keys, values = (
        np.concatenate([old[rows], new], axis=1)
        for old, new in zip(cache, (k, v), strict=True)
    )
    return attention(q, keys, values, causal)


def beams_change_rows(f, x, values):
    """Row 0 held another text; both rows go on with the text of row 1, and x is what stands in row 0."""
    other = np.random.default_rng(6).normal(size=x.shape)
    q, k, v = projected(x, values)
    _, other_k, other_v = projected(other, values)
    past = tuple(
        np.stack([one[:PROMPT], own[:PROMPT]])
        for one, own in ((other_k, k), (other_v, v))
    )
    new = (np.stack([part[PROMPT:]] * 2) for part in (q, k, v))
    begun = causal_attention(q[:PROMPT], k[:PROMPT], v[:PROMPT])
    return np.concatenate([begun, f(*new, past, np.array([1, 1]))[0]])


BEAMS = Setting(
    "two beams that go on from the text of the second",
    "f(q, k, v, cache, rows)",
    rows_with_their_past,
    beams_change_rows,
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


# ---- A selection of blocks ----

BLOCK = 2
BLOCKS_OF_TEXT = np.random.default_rng(10).normal(size=(4 * BLOCK, X.shape[1]))


def block_means(x: np.ndarray) -> np.ndarray:
    """(blocks, d): the mean of each BLOCK rows of x (n, d); the last block may be shorter."""
    starts = range(0, len(x), BLOCK)
    return np.stack([x[start : start + BLOCK].mean(axis=0) for start in starts])


def own_blocks(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of each query's block, (n, 1), and the numbers of all blocks: to be compared."""
    return np.arange(n)[:, None] // BLOCK, np.arange(-(-n // BLOCK))


def attention_to_blocks(q, k, v, chosen):
    """`chosen` (n, blocks) says which blocks each query reads: of its own what has come."""
    keys = np.repeat(chosen, BLOCK, axis=1)[:, : len(k)]
    return attention(q, k, v, keys & causal.dense(len(q)))


def best_block_before_the_own(q, k, v):
    own, blocks = own_blocks(len(q))
    affinity = np.where(blocks < own, scores(q, block_means(k)), -np.inf)
    return attention_to_blocks(q, k, v, best(affinity, 1) | (blocks == own))


BLOCKS = replace(
    CAUSAL,
    name=f"causal attention, the own block of {BLOCK} and the best one before it",
    right=best_block_before_the_own,
    text=BLOCKS_OF_TEXT,
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
