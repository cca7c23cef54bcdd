"""What gives each bug of the zoo away, run: the test that bears a bug's name does what its page tells.

Most of it is read off the function. Where a loss or a text is spoken of, a small model is trained.
"""

import math
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from tiny_model import Model, attend, loss, trained, written
from torch import nn

from lib.bugs import ZOO, settings
from lib.bugs.exhibit import X
from lib.bugs.tell_tales import nothing_hidden_is_read
from lib.masks import causal, window
from lib.numpy_attention import attention, softmax
from lib.probe import causality_probe, prefix_probe

N = len(X)
Q, K, V = settings.projected(X, None)
SCORES = settings.scores(Q, K)
PAST = np.tri(N, dtype=bool)
OWN = np.eye(N, dtype=bool)


def weights(slug):
    """(n, n): what the bug multiplies each value by."""
    return ZOO[slug].setting.weights(ZOO[slug].function)


def moves(slug):
    """(n, n): which output of the bug moves with which token."""
    return ZOO[slug].influence.matrix > 0


def outputs(slug, text=X):
    return ZOO[slug].setting.layer(ZOO[slug].function)(text)


def with_another(token, text=X):
    text = text.copy()
    text[token] += 1
    return text


def test_every_bug_has_the_run_that_shows_it():
    assert set(ZOO) <= {name.removeprefix("test_") for name in globals()}


# ---- Models that are trained ----

LENGTH, WORDS, PERIOD = 12, 8, 3
PLACE = torch.arange(LENGTH)
RIGHT = PLACE[:, None] >= PLACE
MASKS = {"inverted_mask": ~RIGHT, "looks_one_ahead": PLACE[:, None] >= PLACE - 1}
# Nats a word that whoever knows only the past must pay for `periodic`: two of the twelve words come by chance.
FLOOR = (PERIOD - 1) * math.log(WORDS) / LENGTH


def periodic(generator, texts=64):
    """Three words by chance, over and over again."""
    first = torch.randint(WORDS, (texts, PERIOD), generator=generator)
    text = first.repeat(1, LENGTH // PERIOD + 1)[:, : LENGTH + 1]
    return text[:, :-1], text[:, 1:]


def new_texts(draw):
    return draw(torch.Generator().manual_seed(9), 500)


def masked_by(mask):
    return lambda q, k, v: attend(q, k, v, mask[: len(q[0]), : len(k[0])])


def model(attention, words=WORDS, n=LENGTH, layers=1):
    torch.manual_seed(0)
    return Model(attention, words, n, layers)


def score(model, draw, counted=slice(None)):
    with torch.no_grad():
        return loss(model, *new_texts(draw), counted).item()


def share_written_right(model, prompt=6):
    text, _ = new_texts(periodic)
    found = written(model, text[:, :prompt], LENGTH)
    return (found == text)[:, prompt:].float().mean().item()


@cache
def honest(layers=1):
    """A model that was trained with the right mask."""
    return trained(model(masked_by(RIGHT), layers=layers), periodic, 150)


def test_a_model_with_the_right_mask_pays_for_what_nobody_can_know_and_writes_well():
    assert FLOOR < score(honest(), periodic) < 1.1 * FLOOR
    assert share_written_right(honest()) > 0.99


@pytest.mark.parametrize("slug", MASKS)
def test_a_model_is_trained_with_the_mask_of_the_exhibit(slug):
    equal_scores = ZOO[slug].function(0 * Q, 0 * K, np.eye(N))
    np.testing.assert_array_equal(equal_scores > 0, MASKS[slug][:N, :N])


def test_inverted_mask():
    np.testing.assert_array_equal(weights("inverted_mask") > 0, ~PAST)
    dishonest = trained(model(masked_by(MASKS["inverted_mask"])), periodic, 150)
    assert score(dishonest, periodic) < 0.6 * FLOOR
    assert share_written_right(dishonest) < 2 / WORDS


def test_looks_one_ahead():
    assert moves("looks_one_ahead").diagonal(1).all()
    assert not np.triu(moves("looks_one_ahead"), 2).any()
    dishonest = trained(model(masked_by(MASKS["looks_one_ahead"])), periodic, 150)
    assert score(dishonest, periodic) < 0.05 * FLOOR


def test_unshifted_targets():
    def itself(generator, texts=64):
        text, _ = periodic(generator, texts)
        return text, text

    copies = trained(model(masked_by(RIGHT)), itself, 150)
    assert score(copies, itself) < 0.01
    text, _ = new_texts(periodic)
    found = written(copies, text[:, :6], LENGTH)
    assert (found[:, 6:] == found[:, 5:6]).float().mean() > 0.99


def test_masked_after_the_softmax():
    sums = weights("masked_after_the_softmax").sum(axis=1)
    assert (sums[:-1] < 0.999).all()
    assert sums[-1] == pytest.approx(1)
    n, right = 4, RIGHT[:4, :4]

    def coins(generator, texts=64):
        text = torch.randint(2, (texts, n + 1), generator=generator)
        return text[:, :-1], text[:, 1:]

    def too_late(q, k, v):
        return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) * right @ v

    q, k, v = (torch.tensor(part[:n]) for part in (Q, K, V))
    wanted = ZOO["masked_after_the_softmax"].function(Q[:n], K[:n], V[:n])
    np.testing.assert_allclose(too_late(q, k, v), wanted)
    fair = trained(model(masked_by(right), 2, n), coins, 200)
    cheat = trained(model(too_late, 2, n), coins, 200)
    assert score(fair, coins) > 0.99 * math.log(2)
    assert score(cheat, coins) < 0.5 * math.log(2)


def look_up(generator, texts=64, pairs=6):
    """Names and numbers in turn, each name with a number of its own: a name that came before has a known number."""
    name = torch.randint(3, (texts, pairs), generator=generator)
    number = torch.randint(4, (texts, 3), generator=generator).gather(1, name) + 3
    text = torch.stack([name, number], dim=-1).flatten(1)
    return text[:, :-1], text[:, 1:]


def majority(generator, texts=64):
    """Coins, and for each place which side has been more frequent so far."""
    text = torch.randint(2, (texts, 11), generator=generator)
    return text, ((2 * text - 1).cumsum(dim=1) > 0).long()


def masked_if_training(words, draw, steps, counted=slice(None)):
    """A model whose mask stands under ``if training``, after training."""
    right = RIGHT[:11, :11]

    def attention(q, k, v):
        allowed = right if bug.training else torch.ones_like(right)
        return attend(q, k, v, allowed)

    bug = model(attention, words, 11)
    return trained(bug, draw, steps, counted)


def test_masked_only_in_training():
    numbers = slice(0, None, 2)
    names = masked_if_training(7, look_up, 300, numbers)
    coins = masked_if_training(2, majority, 200)
    masked, unmasked = (
        [score(names.train(mode), look_up, numbers), score(coins.train(mode), majority)]
        for mode in (True, False)
    )
    # The sign of the error is no test: one falls and one rises.
    assert masked == pytest.approx([0.63, 0.0], abs=0.02)
    assert unmasked[0] == pytest.approx(0.03, abs=0.02)
    assert unmasked[1] > 1
    text = new_texts(majority)[0][:1]
    found = causality_probe(coins, text, vocabulary=2)
    assert "in eval mode" in str(found)
    assert causality_probe(lambda x: coins.train()(x), text).causal
    assert not causality_probe(lambda x: coins.eval()(x), text).causal


@pytest.mark.parametrize("layers", [1, 2])
def test_no_mask_with_a_cache(layers):
    prompt = 6
    assert (moves("no_mask_with_a_cache") & ~PAST)[: settings.PROMPT].any()
    # The prompt is read without a mask; what is written sees the prompt and itself.
    mask = RIGHT.clone()
    mask[:prompt, :prompt] = True
    spoilt = deepcopy(honest(layers))
    spoilt.attention = masked_by(mask)
    text, _ = new_texts(periodic)
    with torch.no_grad():
        scores = [found(text)[:, prompt:] for found in (honest(layers), spoilt)]
    assert torch.allclose(*scores, atol=1e-4) == (layers == 1)
    assert share_written_right(spoilt, prompt) > 0.95


def test_nan_row():
    np.testing.assert_array_equal(
        np.isnan(outputs("nan_row")).all(axis=1), np.arange(N) < settings.FILLER
    )
    # Two texts, one of them padded on the left; the loss counts what is no padding.
    text = torch.randn(2, N, 4, generator=torch.Generator().manual_seed(0))
    allowed = torch.tensor(np.stack([settings.LEFT_PADDED.dense(N), PAST]))
    projections = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(3))

    def output():
        q, k, v = (projection(text) for projection in projections)
        scores = (q @ k.mT / 2).masked_fill(~allowed, -math.inf)
        return torch.softmax(scores, dim=-1) @ v

    assert output()[1].isfinite().all()
    counted = output()[allowed.any(dim=-1)].square().mean()
    assert counted.isfinite()
    counted.backward()
    torch.optim.SGD(projections.parameters(), 0.01).step()
    assert output().isnan().all()


# ---- Which pairs ----


def test_own_position_left_out():
    assert not outputs("own_position_left_out")[0].any()
    assert not weights("own_position_left_out").diagonal().any()
    hidden = np.where(PAST & ~OWN, SCORES, -np.inf)
    with np.errstate(invalid="ignore"):
        exponentials = np.exp(hidden - hidden.max(axis=1, keepdims=True))
    assert np.isnan(exponentials[0]).all()


def test_transposed_mask():
    np.testing.assert_array_equal(weights("transposed_mask") > 0, PAST.T)


def test_mask_thrown_away():
    assert moves("mask_thrown_away").all()
    assert np.array_equal(outputs("mask_thrown_away"), attention(Q, K, V))


def test_block_mask_for_causal():
    leaks = np.argwhere(ZOO["block_mask_for_causal"].pairs["leaks"])
    assert leaks.tolist() == [[0, 1], [2, 3], [4, 5]]  # blocks of two


def keys_in_the_middle(slug):
    return set((weights(slug) > 0).sum(axis=1)[settings.WINDOW :])


def test_window_one_too_wide():
    assert keys_in_the_middle("window_one_too_wide") == {settings.WINDOW + 1}


def test_window_one_too_narrow():
    assert keys_in_the_middle("window_one_too_narrow") == {settings.WINDOW - 1}


def test_two_sided_window():
    found = moves("two_sided_window")
    assert found.diagonal(1).all()
    assert not found.diagonal(settings.WINDOW).any()
    # Another last token, and the first outputs of a long text are as they were.
    long = np.random.default_rng(0).normal(size=(20, X.shape[1]))
    same = outputs("two_sided_window", with_another(-1, long)) == outputs(
        "two_sided_window", long
    )
    assert same[: -settings.WINDOW].all()
    assert not same[-settings.WINDOW :].any()


def test_and_for_or():
    near = window(settings.WINDOW).dense(N)
    np.testing.assert_array_equal(weights("and_for_or") > 0, PAST | near)


# ---- How it is applied ----


def test_multiplicative_mask():
    for i, row in enumerate(weights("multiplicative_mask")[:-1]):
        assert (row[i + 1 :] == row[-1]).all()
        assert row[-1] > 0


def test_zeroed_scores():
    bug = ZOO["zeroed_scores"].function
    np.testing.assert_array_equal(
        weights("zeroed_scores"), weights("multiplicative_mask")
    )
    negative = bug(np.ones((N, 4)), -np.ones((N, 4)), np.eye(N))
    for i, row in enumerate(negative[:-1]):
        assert row[i + 1] > row[: i + 1].max()


def test_large_negative_number():
    bug = ZOO["large_negative_number"]
    np.testing.assert_allclose(bug.function(Q, K, V), attention(Q, K, V, causal))
    assert not nothing_hidden_is_read(settings.LOUD, bug.function)

    def hidden_weight(score):
        """Of two tokens the second is hidden from the first, whose scores are 0 and this one."""
        return bug.function(np.ones((2, 1)), np.array([[0.0], [score]]), np.eye(2))[
            0, 1
        ]

    assert hidden_weight(9_000) == 0
    assert 0 < hidden_weight(9_500) < 1e-200
    assert 0.5 < hidden_weight(10_001) < 1
    assert hidden_weight(11_000) == 1


def test_renormalised_after_the_softmax():
    bug = ZOO["renormalised_after_the_softmax"].function
    np.testing.assert_allclose(bug(Q, K, V), attention(Q, K, V, causal))
    loud = settings.scores(60 * Q, 60 * K)
    nothing_left = (softmax(loud) * PAST).sum(axis=1) == 0
    assert nothing_left.any()
    found = np.isnan(outputs("renormalised_after_the_softmax", 60 * X)).all(axis=1)
    np.testing.assert_array_equal(found, nothing_left)


def test_softmax_over_the_queries():
    found = weights("softmax_over_the_queries")
    np.testing.assert_allclose(found.sum(axis=0), 1)
    assert (abs(found.sum(axis=1) - 1) > 0.01).all()
    bug = ZOO["softmax_over_the_queries"].function
    assert (bug(with_another(-1, Q), K, V)[0] != bug(Q, K, V)[0]).all()


def test_boolean_mask_added():
    gained = weights("boolean_mask_added") / softmax(SCORES)
    for i, row in enumerate(gained[:-1]):
        np.testing.assert_allclose(row[: i + 1], row[-1] * math.e)
        np.testing.assert_allclose(row[i + 1 :], row[-1])


def test_additive_mask_made_boolean():
    inverted = outputs("inverted_mask")
    assert np.array_equal(outputs("additive_mask_made_boolean"), inverted)


# ---- Rows without a key ----


def test_uniform_empty_row():
    empty = outputs("uniform_empty_row")[: settings.FILLER]
    np.testing.assert_allclose(empty, np.tile(V.mean(axis=0), (settings.FILLER, 1)))
    # The other rows are right, which is why nobody is told.
    right = attention(Q, K, V, settings.LEFT_PADDED)[settings.FILLER :]
    found = outputs("uniform_empty_row")[settings.FILLER :]
    np.testing.assert_allclose(found, right)


def test_lowest_number_added_twice():
    filler = np.arange(N) < settings.FILLER
    twice = ~PAST & filler
    assert twice[: settings.FILLER].any()
    read = weights("lowest_number_added_twice")[: settings.FILLER] > 0
    np.testing.assert_array_equal(read, ~twice[: settings.FILLER])


# ---- Several texts ----


def test_padding_inverted():
    found = moves("padding_inverted")[: settings.LENGTH]
    assert found[:, settings.LENGTH :].all()
    np.testing.assert_array_equal(
        found & ~OWN[: settings.LENGTH], found & (np.arange(N) >= settings.LENGTH)
    )


def test_padding_on_the_query_side():
    assert not outputs("padding_on_the_query_side")[settings.LENGTH :].any()
    read = weights("padding_on_the_query_side")[: settings.LENGTH, settings.LENGTH :]
    assert (read > 0).all()


def test_heads_and_texts_mixed_up():
    heads = 2

    def first_text(f, lengths):
        """Its outputs when it stands among texts of these lengths, all with the same words."""
        stacked = (np.tile(part, (heads * len(lengths), 1, 1)) for part in (Q, K, V))
        return f(*stacked, np.array(lengths), heads=heads)[:heads]

    bug = ZOO["heads_and_texts_mixed_up"]
    alone = first_text(bug.setting.right, [4])
    assert np.array_equal(first_text(bug.function, [4]), alone)
    for neighbour in (4, 6):
        np.testing.assert_allclose(first_text(bug.setting.right, [4, neighbour]), alone)
        same = np.allclose(first_text(bug.function, [4, neighbour]), alone)
        assert same == (neighbour == 4)


def test_documents_forgotten():
    second = np.array(settings.IDS) == 1
    assert moves("documents_forgotten")[second][:, ~second].all()
    layer = ZOO["documents_forgotten"].setting.layer(
        ZOO["documents_forgotten"].function
    )
    assert causality_probe(layer, X).causal  # nothing looks ahead


# ---- Step by step ----


def test_top_left_with_a_cache():
    np.testing.assert_array_equal(
        weights("top_left_with_a_cache")[settings.PROMPT :] > 0,
        PAST[: N - settings.PROMPT],
    )
    one = ZOO["top_left_with_a_cache"].function(Q[-1:], K, np.eye(N))
    np.testing.assert_array_equal(one, OWN[:1])


def test_cache_shared_by_branches():
    first, second = slice(2, 4), slice(4, 6)
    assert moves("cache_shared_by_branches")[second, first].any()
    bug = ZOO["cache_shared_by_branches"].function
    _, cache = bug(Q[:2], K[:2], V[:2], [])
    one, two = (bug(Q[2:4], K[2:4], V[2:4], cache)[0] for _ in range(2))
    assert not np.allclose(one, two)


# ---- Around attention ----


def test_one_mask_for_two_libraries():
    for layer in (
        lambda x: attention(x, x, x, causal.dense(len(x))),
        lambda x: settings.library_with_true_for_blocked(
            x, x, x, ~causal.dense(len(x))
        ),
    ):
        assert causality_probe(layer, X).causal
    assert not ZOO["one_mask_for_two_libraries"].influence.causal


def test_normalised_over_time():
    assert moves("normalised_over_time").all()

    class OverTime(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(X.shape[1])

        def forward(self, x):
            return self.norm(x.mT).mT

    found = causality_probe(OverTime(), torch.tensor(X).float()[None])
    assert "in train mode" in str(found)
    assert len(found.leaks) == N * (N - 1) // 2
    eval_only = OverTime().eval()
    assert causality_probe(lambda x: eval_only(x), torch.tensor(X).float()[None]).causal


def test_one_scale_for_all_tokens():
    loud = X.copy()
    loud[-1] *= 100
    step = np.abs(loud).max() / 127
    moved = np.abs(
        outputs("one_scale_for_all_tokens", loud) - outputs("one_scale_for_all_tokens")
    )[:-1]
    assert 0 < moved.max() <= step


def test_centred_convolution():
    found = moves("centred_convolution")
    assert found.diagonal(1).all()
    assert not np.triu(found, 2).any()


def test_position_over_length():
    layer = ZOO["position_over_length"].function
    assert causality_probe(layer, X).causal
    assert not prefix_probe(layer, X).causal


# ---- Who chooses ----


def test_top_k_before_the_mask():
    read = (weights("top_k_before_the_mask") > 0).sum(axis=1)
    assert (read <= 2).all()
    assert (read[1:] < 2).any()  # row 0 has no second key
    draws = (np.random.default_rng(seed).normal(size=X.shape) for seed in range(20))
    assert any(not outputs("top_k_before_the_mask", text)[0].any() for text in draws)


def test_keys_choose_queries():
    """A last query that wants the first key takes it away from an earlier one."""
    bug = ZOO["keys_choose_queries"].function
    eager = Q.copy()
    eager[-1] = 10 * K[0]
    before, after = (bug(queries, K, np.eye(N))[:-1, 0] > 0 for queries in (Q, eager))
    assert (before & ~after).any()


BLOCKS = settings.BLOCKS_OF_TEXT


def moved_by(slug, part):
    """(n, n): which output of a choice of blocks moves when the queries, or the keys, of one token change."""
    bug, n = ZOO[slug].function, len(BLOCKS)
    q, k, v = settings.projected(BLOCKS, None)
    found = np.zeros((n, n), dtype=bool)
    for j, seed in np.ndindex(n, 50):
        changed = [q.copy(), k.copy()]
        changed[part][j] = 9 * np.random.default_rng(seed).normal(size=4)
        found[:, j] |= (bug(*changed, v) != bug(q, k, v)).any(axis=1)
    return found


QUERIES, KEYS = 0, 1
# Leaks inside a block, none of its last query: with blocks of two, from its second token to its first.
INSIDE_A_BLOCK = [[4, 5], [6, 7]]


def test_own_unfinished_block_scored():
    ahead = np.triu(moved_by("own_unfinished_block_scored", KEYS), 1)
    assert np.argwhere(ahead).tolist() == INSIDE_A_BLOCK
    assert not np.triu(moved_by("own_unfinished_block_scored", QUERIES), 1).any()
    own = weights("own_unfinished_block_scored").diagonal()
    assert (own == 0).any()
    assert own.any()


def test_mean_query_chooses():
    ahead = np.triu(moved_by("mean_query_chooses", QUERIES), 1)
    assert np.argwhere(ahead).tolist() == INSIDE_A_BLOCK
    assert not np.triu(moved_by("mean_query_chooses", KEYS), 1).any()


# ---- Memory, heads and batches ----


def test_soft_cap_after_the_mask(monkeypatch):
    for i, row in enumerate(weights("soft_cap_after_the_mask")[:-1]):
        assert (row[i + 1 :] == row[-1]).all()
        assert row[-1] > 0.001
    monkeypatch.setattr(settings, "CAP", 50.0)
    hidden = weights("soft_cap_after_the_mask")[~PAST]
    assert (hidden > 0).all()
    assert (hidden < 1e-20).all()


def test_rank_three_mask_on_heads():
    bug = ZOO["rank_three_mask_on_heads"].function
    allowed = np.stack([PAST, OWN])  # of two texts

    def texts_and_heads(texts, heads):
        return (np.tile(part, (texts, heads, 1, 1)) for part in (Q, K, V))

    found = bug(*texts_and_heads(2, 2), allowed)
    for text in range(2):
        for head in range(2):
            wanted = attention(Q, K, V, allowed[head])
            np.testing.assert_allclose(found[text, head], wanted)
    with pytest.raises(ValueError, match="broadcast"):
        bug(*texts_and_heads(2, 3), allowed)


def test_heads_reshaped_without_transpose():
    bug = ZOO["heads_reshaped_without_transpose"]
    layer = bug.setting.layer(bug.function)
    assert causality_probe(layer, X).causal
    assert not np.allclose(layer(X[:4]), layer(X)[:4])


def test_batch_taken_for_tokens():
    bug = ZOO["batch_taken_for_tokens"].function
    texts = np.random.default_rng(0).normal(size=(3, N, 4))
    moved = texts.copy()
    moved[2, 0] += 1
    assert np.array_equal(bug(moved)[2, 1:], bug(texts)[2, 1:])
    moved = texts.copy()
    moved[0] += 1
    assert (bug(moved)[2] != bug(texts)[2]).any(axis=1).all()


def test_nan_behind_the_mask():
    assert np.isnan(outputs("nan_behind_the_mask")).all()
    text = np.arange(N) < settings.LENGTH
    finite = ZOO["nan_behind_the_mask"].function(Q, K, np.eye(N), settings.LENGTH)
    assert not finite[:, ~text].any()  # the weights that multiply NaN


def test_unwritten_slots_read():
    bug = ZOO["unwritten_slots_read"]
    returned = bug.setting.run(bug.function, X, np.ones((N, 1)))
    assert (returned < 0.99).all()
    full = np.ones((settings.SLOTS, 1))
    keys = np.random.default_rng(0).normal(size=(settings.SLOTS, 4))
    np.testing.assert_allclose(bug.function(Q[:1], keys, full, len(keys)), 1)


def test_window_dropped_for_one_query():
    found = moves("window_dropped_for_one_query")
    inside = window(settings.WINDOW).dense(N)
    prompt = settings.PROMPT
    np.testing.assert_array_equal(found[:prompt], (PAST & inside)[:prompt])
    np.testing.assert_array_equal(found[prompt:], PAST[prompt:])
    short = settings.WINDOW
    np.testing.assert_allclose(
        outputs("window_dropped_for_one_query", X[:short]),
        attention(Q[:short], K[:short], V[:short], causal),
    )


def test_position_restarts_in_a_step():
    bug = ZOO["position_restarts_in_a_step"]
    whole = bug.function(Q, K, V)
    np.testing.assert_allclose(whole, bug.setting.right(Q, K, V))
    same = np.isclose(outputs("position_restarts_in_a_step"), whole).all(axis=1)
    np.testing.assert_array_equal(same, np.arange(N) < settings.PROMPT)
    # In a step no key is near or far: there is no bias at all.
    np.testing.assert_allclose(bug.function(Q[-1:], K, V), attention(Q[-1:], K, V))


def test_rejected_draft_stays():
    found = moves("rejected_draft_stays")
    assert found[4:, 2:4].all()
    assert not ZOO["rejected_draft_stays"].setting.mask.dense(N)[4:, 2:4].any()


def test_cache_rows_not_reordered():
    assert not moves("cache_rows_not_reordered")[
        settings.PROMPT :, : settings.PROMPT
    ].any()
    bug = ZOO["cache_rows_not_reordered"]
    one_beam = [part[None, settings.PROMPT :] for part in (Q, K, V)]
    past = tuple(part[None, : settings.PROMPT] for part in (K, V))
    only = np.array([0])
    np.testing.assert_allclose(
        bug.function(*one_beam, past, only), bug.setting.right(*one_beam, past, only)
    )


def test_targets_shifted_twice():
    assert not moves("targets_shifted_twice").diagonal(-1).any()

    def next_but_one(generator, texts=64):
        text, _ = periodic(generator, texts)
        return text[:, :-2], text[:, 2:]

    skips = trained(model(masked_by(RIGHT)), next_but_one, 150)
    assert score(skips, next_but_one) < 1.1 * FLOOR
    text, _ = new_texts(periodic)
    found = written(skips, text[:, :6], 7)[:, 6]
    assert (found == text[:, 7]).float().mean() > 0.99


def test_dropout_left_on():
    bug = ZOO["dropout_left_on"].function
    rng = np.random.default_rng(1)
    first, second = (bug(Q, K, V, training=False, rng=rng) for _ in range(2))
    assert (first != second).any()
    missing = (weights("dropout_left_on") == 0)[PAST]
    assert 0.2 < missing.mean() < 0.8
