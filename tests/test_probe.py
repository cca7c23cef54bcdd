"""The probes: every route of a leak is found, all is left as it was, and what is said is right."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from probe_cases import BATCHED, CORRECT, KINDS, D, N, blocked, random_input
from torch import nn

from lib import numpy_attention, torch_attention
from lib.masks import causal, window
from lib.numpy_attention import softmax
from lib.probe import causality_probe, prefix_probe


class Decoder(nn.Module):
    """Ids to logits: embedding, a causal layer with dropout, and a head."""

    def __init__(self, vocabulary=7):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(vocabulary, D)
        self.layer = nn.TransformerEncoderLayer(D, 2, 8, dropout=0.5, batch_first=True)
        self.head = nn.Linear(D, vocabulary)

    def forward(self, ids):
        x = self.embedding(ids)
        return self.head(self.layer(x, src_mask=blocked(x)))


def test_token_ids_in_both_modes():
    ids = torch.tensor([[3, 1, 4, 1, 5], [0, 6, 2, 6, 1]])
    found = causality_probe(Decoder(), ids)
    assert found.causal
    assert set(found.modes) == {"train", "eval"}
    assert np.tril(found.matrix).all(axis=None, where=np.tri(N, dtype=bool))
    assert prefix_probe(Decoder(), ids).causal
    numpy_ids = np.array([2, 0, 1])
    assert causality_probe(lambda ids: np.cumsum(ids), numpy_ids).causal
    swapped = causality_probe(lambda ids: ids[::-1], numpy_ids)
    assert swapped.leaks == [(0, 2)]


@pytest.mark.parametrize("n", [0, 1])
def test_no_token_and_one_token(n):
    x = random_input(0, (n, D))
    for found in (causality_probe(lambda x: x, x), prefix_probe(lambda x: x, x)):
        assert not found.causal  # nothing was tried
        assert not found.leaks
        assert "it takes two for one to read the other" in str(found)
    assert causality_probe(lambda x: x, x, poison=True).reads.shape == (n, n)


# ---- Every route of a leak is found ----


def scores(x):
    return x @ x.T / np.sqrt(D)


def through_the_value(x):
    return (np.tri(N) + 1e-6) @ x


def through_the_score(x):
    allowed = causal.dense(N)
    late = scores(x) + 0.01 * scores(x).sum(axis=1, keepdims=True) * np.arange(N)
    return softmax(np.where(allowed, late, -np.inf)) @ np.ones((N, 1)).cumsum(axis=0)


def through_the_denominator(x):
    return (softmax(scores(x)) * causal.dense(N)) @ np.ones((N, 1))


def through_the_batch(x):
    with np.errstate(invalid="ignore"):  # equal tokens have no spread
        return (x - x.mean(axis=0)) / x.std(axis=0)


def through_the_scale(x):
    step = np.abs(x).max() / 127  # one step of an 8-bit number for the whole array
    return np.round(x / step) * step


def through_a_choice(x):
    best = np.argsort(x[:, 0])[-2:]  # the k tokens with the largest first feature
    return np.where(np.isin(np.arange(N), best)[:, None], x, 0)


def through_the_next_token(x):
    return x + np.roll(x, -1, axis=0)


ROUTES = [
    through_the_value,
    through_the_score,
    through_the_denominator,
    through_the_batch,
    through_the_scale,
    through_a_choice,
    through_the_next_token,
]


@pytest.mark.parametrize("route", ROUTES)
def test_a_leak_is_found_on_each_route(route):
    found = causality_probe(route, random_input())
    assert not found.causal
    assert all(j > i or (i, j) == (N - 1, 0) for i, j in found.leaks)
    i, j = found.leaks[0]
    # The leak is real: changing token j alone moves output i.
    changed = random_input()
    changed[j] += 10 * random_input(seed=9)[j]
    moved = route(changed)[i] != route(random_input())[i]
    assert moved.any() or route in (through_a_choice, through_the_scale)


def test_the_matrix_has_rows_of_outputs_and_columns_of_inputs():
    found = causality_probe(through_the_next_token, random_input())
    wanted = np.eye(N) + np.roll(np.eye(N), 1, axis=1)
    assert np.array_equal(found.matrix > 0, wanted > 0)
    assert found.leaks == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_small_leak_counts_and_rounding_does_not():
    x = random_input()

    def leaks(share, dtype):
        f = lambda x: x + x.dtype.type(share) * np.roll(x, -1, axis=0)  # noqa: E731
        return bool(causality_probe(f, x.astype(dtype)).leaks)

    assert leaks(1e-9, np.float64)
    assert leaks(1e-3, np.float32)
    assert leaks(3e-5, np.float32)
    assert leaks(0.3, np.float16)
    assert not leaks(1e-14, np.float64)
    assert not leaks(1e-7, np.float32)


@pytest.mark.parametrize("wanted", ["small", "large"])
def test_a_leak_that_only_small_or_only_large_changes_show_is_found(wanted):
    usual = np.roll(random_input(), -1, axis=0)

    def gated(x):
        change = np.roll(x, -1, axis=0) - usual
        is_small = np.abs(change) < 0.5
        return x + np.where(is_small == (wanted == "small"), change, 0)

    found = causality_probe(gated, random_input(), seeds=(0,))
    assert found.leaks == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_leak_that_only_one_direction_shows_is_found(sign):
    usual = np.roll(random_input(), -1, axis=0)

    def one_sided(x):
        change = np.roll(x, -1, axis=0) - usual
        return x + np.maximum(sign * change.sum(axis=1, keepdims=True), 0)

    found = causality_probe(one_sided, random_input(), seeds=(0,), scales=(1.0,))
    assert found.leaks == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_row_that_is_nan_whatever_comes_is_no_leak():
    f = lambda x: np.where(np.arange(N)[:, None] == 0, np.nan, x)  # noqa: E731
    assert causality_probe(f, random_input()).causal


def test_a_leak_that_hides_at_a_special_input_is_found_at_another():
    # All queries are zero at x = 0, and then the denominator does not move.
    still = np.zeros((N, D))
    assert not causality_probe(through_the_denominator, still).causal

    def away_from(x, usual=still):
        far = np.abs(x - usual).max(axis=1) > 0.5
        return x + (far.sum() > 2) * np.roll(x, -1, axis=0)

    found = causality_probe(away_from, still)
    assert found.leaks == [(0, 1), (1, 2), (2, 3), (3, 4)]


TAKES_ANY_MASK = [
    kind
    for kind in KINDS
    if CORRECT[kind[0]].masks and kind[1] in ("float16", "float32")
]


@pytest.mark.parametrize(("name", "dtype"), TAKES_ANY_MASK)
def test_one_open_pair_is_found_wherever_it_is(name, dtype):
    for seed, (i, j) in enumerate(np.argwhere(~causal.dense(N))):
        opened = causal.dense(N)
        opened[i, j] = True
        x = random_input(seed, CORRECT[name].shape)
        if name.startswith("NumPy"):
            x = x.astype(dtype)
        else:
            x, opened = torch.tensor(x).to(getattr(torch, dtype)), torch.tensor(opened)
        f, _ = CORRECT[name].build(seed, opened, dtype)
        assert causality_probe(f, x).leaks == [(i, j)]


class BatchNormOverTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(D)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


def test_batch_statistics_leak_in_train_mode_only():
    found = causality_probe(
        BatchNormOverTime(), torch.tensor(random_input(0, BATCHED)).float()
    )
    assert not found.causal
    assert (found.modes["train"] > 0).all()
    assert np.array_equal(found.modes["eval"] > 0, np.eye(N) > 0)
    assert "in train mode" in str(found)


class SpoiltByTraining(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        if self.training:
            self.scale.zero_()
        return x * self.scale


def test_eval_mode_sees_the_buffers_as_they_were():
    found = causality_probe(SpoiltByTraining(), torch.tensor(random_input()))
    assert found.modes["eval"].diagonal().all()
    assert not found.modes["train"].any()


class MaskedInTrainingOnly(nn.Module):
    """As in the decoder of a well-known textbook: in use there is no future, its authors thought."""

    def forward(self, x):
        mask = causal if self.training else None
        return torch_attention.attention(x, x, x, mask)


def test_a_mask_that_holds_in_training_only_is_caught():
    found = causality_probe(MaskedInTrainingOnly(), torch.tensor(random_input()))
    assert "in eval mode" in str(found)
    assert len(found.leaks) == N * (N - 1) // 2
    assert not np.triu(found.modes["train"], 1).any()
    assert not prefix_probe(MaskedInTrainingOnly(), torch.tensor(random_input())).causal


class InvertedSdpa(nn.Module):
    """As in a much-read course: a mask with True for *blocked* handed to SDPA, where True means *may attend*."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(D, 3 * D)
        self.register_buffer("mask", torch.ones(N, N).triu(1).bool())

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)


def test_the_inverted_mask_is_caught():
    found = causality_probe(
        InvertedSdpa(), torch.tensor(random_input(0, BATCHED)).float()
    )
    assert len(found.leaks) == N * (N - 1) // 2
    assert not np.tril(found.matrix[1:-1, 1:-1], -1).any()  # and the past is not read
    assert InvertedSdpa()(torch.zeros(1, N, D)).shape == (
        1,
        N,
        D,
    )  # "shape checks pass"


def test_a_cache_that_grows_is_reported_and_not_judged():
    kept = []

    def with_cache(x):
        kept.append(x.mean(axis=0))
        return x + sum(kept)

    found = causality_probe(with_cache, random_input())
    assert not found.repeatable
    assert not found.causal
    assert "such as a cache" in str(found)


def test_a_cache_that_only_other_inputs_spoil_is_reported():
    largest = [0.0]

    def with_memory(x):
        largest[0] = max(largest[0], np.abs(x).max())
        return x / largest[0]

    assert not causality_probe(with_memory, random_input(), seeds=(0,)).repeatable


def test_a_function_with_three_answers_in_turn_is_reported():
    turn = [0]

    def one_of_three(x):
        turn[0] += 1
        return x + turn[0] % 3

    # With two scales the last call gives the first answer again, with one scale it does not.
    for scales in ((1.0,), (0.1, 1.0)):
        found = causality_probe(one_of_three, random_input(), scales=scales, seeds=(0,))
        assert not found.repeatable


def test_dropout_is_not_accused_and_own_random_numbers_are_reported():
    x = torch.tensor(random_input())
    assert causality_probe(nn.Dropout(0.5), x).causal
    assert causality_probe(lambda x: x * np.random.random(), random_input()).causal
    assert causality_probe(lambda x: x * random.random(), random_input()).causal
    own = np.random.default_rng(0)
    last = np.arange(N)[:, None] == N - 1  # it may read everything, so this is no leak
    noisy = causality_probe(lambda x: x + last * own.normal(), random_input())
    assert not noisy.repeatable
    assert not noisy.leaks
    assert not noisy.causal
    assert not prefix_probe(lambda x: x + np.random.random(), random_input()).repeatable


def test_what_may_have_influence_can_be_any_mask():
    x = random_input()
    banded = causal & window(2)
    read_all = lambda x: numpy_attention.attention(x, x, x, causal)  # noqa: E731
    found = causality_probe(read_all, x, mask=banded)
    assert found.leaks == [(2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2)]
    assert "the hidden input" in str(found)
    as_array = causality_probe(read_all, x, mask=banded.dense(N))
    assert as_array.leaks == found.leaks


def test_a_nan_that_comes_with_the_future_is_a_leak():
    # No maximum is subtracted: e to a loud score of the future is ∞, and ∞ · 0 is NaN.
    def unstable(x):
        weights = np.exp(scores(200 * x)) * causal.dense(N)
        with np.errstate(all="ignore"):
            return weights / weights.sum(axis=1, keepdims=True) @ x

    with np.errstate(all="ignore"):
        found = causality_probe(unstable, 0.05 * random_input())
    assert not found.causal
    assert "NaN" in str(found)


def test_poison_reports_what_is_read_and_is_no_verdict():
    x = random_input()
    dense = causality_probe(
        lambda x: numpy_attention.attention(x, x, x, causal), x, poison=True
    )
    assert dense.causal
    assert dense.reads.all()  # 0 · NaN is NaN
    row_by_row = causality_probe(lambda x: np.cumsum(x, axis=0), x, poison=True)
    assert np.array_equal(row_by_row.reads, causal.dense(N))
    assert causality_probe(lambda x: x, x).reads is None
    with pytest.raises(TypeError, match="poison: ids cannot be NaN"):
        causality_probe(lambda ids: ids, np.arange(3), poison=True)


# ---- Prefixes ----


def position_over_length(x):
    return x + (np.arange(len(x)) / len(x))[:, None]


def half_of_the_tokens(x):
    """A capacity shared by all tokens: the first half gets through."""
    return np.where(np.arange(len(x))[:, None] < len(x) // 2, x, 0)


@pytest.mark.parametrize("f", [position_over_length, half_of_the_tokens])
def test_the_prefix_probe_finds_what_depends_on_the_length(f):
    x = random_input()
    assert causality_probe(f, x).causal
    found = prefix_probe(f, x)
    assert not found.causal
    assert all(j >= i for i, j in found.leaks)
    i, j = found.leaks[0]
    assert not np.allclose(f(x[: j + 1])[i], f(x)[i])
    said = re.fullmatch(
        r"Output (\d) is another one when the sequence ends after token (\d) \(by up to .*; 5 tokens on .*\)\.",
        str(found),
    )
    assert found.matrix[int(said[1]), int(said[2])] == found.matrix.max()


def test_the_prefix_probe_finds_a_cache_that_is_off_by_one():
    def last_query_skips_its_own_key(x):
        reads = np.tri(len(x))
        reads[-1, -1] = len(x) == 1
        return reads @ x

    found = prefix_probe(last_query_skips_its_own_key, random_input())
    assert found.leaks == [(1, 1), (2, 2), (3, 3)]


def test_the_matrix_of_prefixes():
    x = random_input()
    found = prefix_probe(position_over_length, x)
    for i in range(N):
        for j in range(N):
            wanted = abs(i / (j + 1) - i / N) if j >= i else 0
            assert found.matrix[i, j] == pytest.approx(wanted, abs=1e-12)


# ---- All is left as it was ----


class Stateful(nn.Module):
    def __init__(self, fails=False):
        super().__init__()
        self.norm = nn.BatchNorm1d(D)
        self.frozen = nn.Dropout(0.5)
        self.frozen.eval()  # a part in another mode than the whole
        self.register_buffer("replaced", torch.zeros(2))
        self.register_buffer("empty", None)
        self.fails = fails
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.replaced = torch.full((3,), float(self.calls))
        self.empty = torch.ones(1)
        if self.fails and self.calls > 4:
            raise RuntimeError("the fifth call fails")
        return self.frozen(self.norm(x))


@pytest.mark.parametrize("probe", [causality_probe, prefix_probe])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_everything_is_left_as_it_was(probe, fails, wrapped):
    module = Stateful(fails)
    module.train()
    module.frozen.eval()
    x = torch.tensor(random_input()).float().requires_grad_()
    x_before = x.detach().clone()
    buffers = {k: (v, v.clone()) for k, v in module.named_buffers()}
    random.seed(11), np.random.seed(12), torch.manual_seed(13)
    seeds = random.getstate(), np.random.get_state(), torch.get_rng_state()

    call = {"f": lambda x: module(x), "module": module} if wrapped else {"f": module}
    if fails:
        with pytest.raises(RuntimeError, match="the fifth call fails"):
            probe(x=x, **call)
    else:
        probe(x=x, **call)

    assert module.training
    assert module.norm.training
    assert not module.frozen.training
    after = dict(module.named_buffers())
    assert set(after) == set(buffers)
    for name, (same, content) in buffers.items():
        assert after[name] is same
        assert torch.equal(after[name], content)
    assert module.empty is None
    assert random.getstate() == seeds[0]
    assert all(
        np.array_equal(a, b)
        for a, b in zip(np.random.get_state(), seeds[1], strict=True)
    )
    assert torch.equal(torch.get_rng_state(), seeds[2])
    assert torch.equal(x, x_before)
    assert x.requires_grad
    assert x.grad is None


def test_what_cannot_be_repeated_is_not_called_causal():
    found = prefix_probe(lambda x: x, random_input())
    assert found.causal
    assert not replace(found, repeatable=False).causal


@pytest.mark.parametrize("probe", [causality_probe, prefix_probe])
def test_a_buffer_that_a_call_registers_is_gone_again(probe):
    class Lazy(nn.Module):
        def forward(self, x):
            self.register_buffer("kept", x.detach())
            return x

    module = Lazy()
    probe(module, torch.tensor(random_input()))
    assert dict(module.named_buffers()) == {}


def test_a_function_that_writes_into_its_input_does_not_reach_the_callers():
    x = random_input()

    def in_place(x):
        x[0] = 0
        return x

    causality_probe(in_place, x)
    prefix_probe(in_place, x)
    assert np.array_equal(x, random_input())


def test_a_function_may_differentiate_by_its_input():
    x = torch.tensor(random_input()).requires_grad_()
    slope = causality_probe(
        lambda x: torch.autograd.grad((x.cumsum(0) ** 2).sum(), x)[0], x
    )
    # The slope at i sums over the outputs from i on, which read what comes later.
    assert len(slope.leaks) == N * (N - 1) // 2


def test_the_result_does_not_depend_on_the_callers_random_numbers():
    results = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        results.append(causality_probe(nn.Dropout(0.5), torch.tensor(random_input())))
    assert np.array_equal(results[0].matrix, results[1].matrix)


# ---- What it says, and what it refuses ----


def test_the_sentence_names_the_pair_the_amount_and_the_share():
    found = causality_probe(lambda x: x + 2 * x[::-1], np.array([[0.0], [1.0], [3.0]]))
    assert found.leaks == [(0, 2)]
    assert str(found).startswith(
        "Output 0 moves when the later input 2 changes (by up to "
    )
    verdict, unread = str(found).split(" It may ")
    assert verdict.endswith("; 1 of 3 pairs leak (3 tokens on axis 0 of (3, 1)).")
    assert unread == "read 6 pairs and never read 2 of them, such as (2, 1)."
    amount = float(str(found).split("by up to ")[1].split(")")[0])
    assert amount == pytest.approx(found.matrix[0, 2], rel=0.01)


def test_the_picture_marks_each_leak_and_says_which():
    found = causality_probe(through_the_next_token, random_input())
    picture = found.figure()
    axes = picture.figure.axes[0]
    crosses = {
        (int(i), int(j))
        for line in axes.lines
        if line.get_marker() == "X"
        for j, i in line.get_xydata()
    }
    assert crosses == set(found.leaks)
    assert "Crosses at (0, 1), (1, 2), (2, 3), (3, 4)." in picture.alt
    assert "No crosses" in causality_probe(lambda x: x, random_input()).figure().alt
    prefixes = prefix_probe(position_over_length, random_input())
    drawn = [line.get_xydata() for line in prefixes.figure().figure.axes[0].lines]
    assert sum(map(len, drawn)) == len(prefixes.leaks)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: causality_probe(len, [[1.0]]), TypeError, "x: expected a NumPy array or a tensor, got list"),
        (lambda: causality_probe(len, np.zeros(3)), ValueError, r"x: expected shape \(..., tokens, features\)"),
        (lambda: causality_probe(len, np.array(3)), ValueError, r"x: expected shape \(..., tokens\) of ids, got \(\)"),
        (lambda: causality_probe(len, np.array([True])), TypeError, "x: expected floats .* got bool"),
        (lambda: causality_probe(len, torch.ones(2, 2, dtype=torch.complex64)), TypeError, "x: expected floats"),
        (lambda: causality_probe(nn.GRU(D, D), torch.zeros(N, D)), TypeError, r"got tuple; choose one with a wrapper"),
        (lambda: causality_probe(lambda x: x[:2], random_input()), ValueError, "has the 5 tokens of x on axis 0"),
        (lambda: causality_probe(lambda x: x.mean(dim=0), torch.zeros(3, 2)), ValueError, r"axis 0.*got \(2,\)"),
        (lambda: causality_probe(lambda x: x, np.zeros(3, int)), ValueError, "vocabulary: expected at least 2 ids"),
        (lambda: causality_probe(lambda x: x, random_input(), mask=np.ones((2, 2), bool)), ValueError, "mask: "),
        (lambda: causality_probe(lambda x: x, np.array([[np.nan]])), ValueError, "x: expected finite numbers"),
        (lambda: causality_probe(lambda x: x, random_input(), seeds=()), ValueError, "seeds: expected at least one"),
        (lambda: causality_probe(lambda x: x, random_input(), scales=[]), ValueError, "scales: expected finite"),
        (lambda: causality_probe(lambda x: x, random_input(), scales=[1, 0]), ValueError, "scales: .* above 0"),
        (lambda: causality_probe(lambda x: x, random_input(), scales=2.0), ValueError, "scales: expected"),
        (lambda: causality_probe(lambda x: x, random_input(), scales=[1, np.nan]), ValueError, "scales: expected"),
        (lambda: causality_probe(lambda x: x, random_input(), seeds=3), TypeError, "seeds: expected"),
        (lambda: causality_probe(lambda x: x, random_input(), tolerance=np.nan), ValueError, "tolerance: expected"),
        (lambda: prefix_probe(lambda x: x, random_input(), tolerance=1), ValueError, "tolerance: expected"),
        (lambda: causality_probe(lambda x: x, random_input(), module="net"), TypeError, "module: expected"),
        (lambda: causality_probe(None, random_input()), TypeError, "f: expected a function of x, got NoneType"),
        (lambda: causality_probe(lambda x: 1j * x, random_input()), TypeError, "f: .* got complex128"),
        (lambda: causality_probe(lambda x: x * 1j, torch.ones(2, 2)), TypeError, "f: .* got torch.complex64"),
        (lambda: causality_probe(lambda x: x, np.arange(4), vocabulary=3), ValueError, "vocabulary: .* at least 4"),
        (lambda: causality_probe(lambda x: x, np.arange(4), vocabulary=4.5), TypeError, "vocabulary: .* an integer"),
        (lambda: prefix_probe(lambda x: x[:2], random_input()), ValueError, "has the 5 tokens of x on axis 0"),
    ],
)  # fmt: skip
def test_errors_say_what_is_expected(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_vocabulary_can_be_given():
    assert causality_probe(lambda x: x, np.zeros(3, int), vocabulary=9).causal


def test_negative_ids_of_other_tokens_stay_as_they_are():
    """Data sets mark what does not count by −1 or −100: a change of token j must not touch it."""
    assert causality_probe(lambda x: x.cumsum(0), np.array([-100, 3, 9, -1, 1])).causal


def test_a_leak_through_equal_ids_is_found_in_a_large_vocabulary():
    def knows_whether_it_comes_again(x):
        again = np.triu(x[:, None] == x, 1).any(axis=1)
        return x / 50_000 + again

    ids = np.random.default_rng(0).integers(50_000, size=8)
    assert not causality_probe(knows_whether_it_comes_again, ids).causal


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, 3e12])
def test_equal_tokens_are_moved_by_more_than_rounding(value):
    x = np.full((6, 3), value, dtype=np.float32)
    assert causality_probe(lambda x: x + x[::-1], x).leaks
    assert causality_probe(lambda x: x.cumsum(axis=0), x).causal


@pytest.mark.parametrize("fill", [-1e9, np.finfo(np.float32).min])
def test_a_leak_is_found_beside_fill_values(fill):
    def masked_logits(x):
        logits = x + 0.01 * x.mean(axis=0)
        logits[:, 0] = fill  # an id that is never to be written
        return logits

    x = random_input().astype(np.float32)
    assert causality_probe(masked_logits, x).leaks
    assert prefix_probe(masked_logits, x).leaks


@pytest.mark.filterwarnings("error")
def test_infinite_outputs_that_stay_are_no_difference():
    """Logits of what may not be written are −∞."""
    f = lambda x: np.where(np.arange(D) == 1, -np.inf, np.cumsum(x, axis=0))  # noqa: E731
    assert causality_probe(f, random_input()).causal
    assert prefix_probe(f, random_input()).causal


def test_whole_numbers_have_no_tolerance():
    """In bfloat16 a change from id 500 to 501 would pass for rounding."""

    def chosen_ids(x):
        return 500 + (x + x.mean(dim=0)).argmax(dim=-1)

    x = torch.tensor(random_input(), dtype=torch.bfloat16)
    assert causality_probe(chosen_ids, x).leaks


def test_a_function_that_ignores_its_input_is_told_so():
    found = causality_probe(np.zeros_like, random_input())
    assert found.causal
    assert "does the function use x?" in str(found)


def test_no_mask_allows_all():
    found = causality_probe(lambda x: x + x.mean(axis=0), random_input(), mask=None)
    assert found.causal
    assert found.allowed.all()


def test_rounding_of_a_constant_output_is_no_difference():
    """A constant is no fill value: what its rounding is compared with must not become 0."""
    assert prefix_probe(lambda x: 1 + 0 * x + 1e-15 * len(x), random_input()).causal
