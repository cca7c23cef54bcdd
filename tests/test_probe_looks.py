"""What the probes look at: the axis of tokens, rows of a batch, loud and equal inputs, each number by itself."""

import re

import numpy as np
import pytest
import torch
from probe_cases import random_input
from torch import nn

from lib import numpy_attention
from lib.masks import Mask, causal
from lib.numpy_attention import softmax
from lib.probe import causality_probe, prefix_probe

N, D = 6, 4
STRICTLY_BEFORE = Mask(lambda i, j: j < i)


def tensor(*shape, seed=0):
    return torch.tensor(random_input(seed, shape)).float()


# ---- Where the tokens are ----


def encoder(batch_first=False):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_module_says_where_its_tokens_are(batch):
    """PyTorch's default layout is (tokens, batch, features): an unmasked encoder was called causal."""
    found = causality_probe(encoder(), tensor(N, batch, 8), seeds=(0,))
    assert len(found.leaks) == N * (N - 1) // 2
    assert f"6 tokens on axis 0 of (6, {batch}, 8), from batch_first=False" in str(
        found
    )
    assert not found.row_leaks
    assert not prefix_probe(encoder(), tensor(N, batch, 8)).causal


def test_batch_first_is_read_from_the_module_that_a_wrapper_names():
    attend = nn.MultiheadAttention(8, 2)
    f = lambda x: attend(x, x, x, need_weights=False)[0]  # noqa: E731
    x = tensor(N, 2, 8)
    found = causality_probe(f, x, module=attend, seeds=(0,))
    assert len(found.leaks) == N * (N - 1) // 2
    assert causality_probe(nn.Sequential(nn.Linear(8, 8), encoder()), x).taken.axis == 0


def test_batch_first_does_not_speak_for_a_model_of_ones_own():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder()

        def forward(self, x):
            return self.encoder(x.transpose(0, 1)).transpose(0, 1)

    assert prefix_probe(Model(), tensor(2, N, 8)).taken.axis == 1
    assert prefix_probe(encoder(batch_first=True), tensor(2, N, 8)).taken.axis == 1
    assert prefix_probe(encoder(), tensor(2, N, 8), axis=1).taken.axis == 1
    assert prefix_probe(encoder(), tensor(N, 8)).taken.axis == 0


def test_channels_before_time():
    """Of a right causal convolution on (batch, channels, time), axis −2 would be taken for the tokens."""
    torch.manual_seed(0)
    convolve = nn.Conv1d(D, 5, 3)
    right = lambda x: convolve(nn.functional.pad(x, (2, 0)))  # noqa: E731
    centred = lambda x: convolve(nn.functional.pad(x, (1, 1)))  # noqa: E731
    x = tensor(2, D, N)
    for probe in (causality_probe, prefix_probe):
        assert probe(right, x, axis=-1).causal
        assert not probe(centred, x, axis=-1).causal
        assert "6 tokens on axis 2 of (2, 4, 6)" in str(probe(right, x, axis=-1))
    assert causality_probe(right, x, axis=-1).matrix.shape == (N, N)
    one_signal = random_input(0, (N,))
    assert causality_probe(np.cumsum, one_signal, axis=0).causal


def test_ids_with_tokens_first():
    ids = np.random.default_rng(0).integers(9, size=(N, 2))
    found = causality_probe(lambda ids: ids[::-1], ids, axis=0)
    assert found.leaks == [(0, 5), (1, 4), (2, 3)]
    assert not found.row_leaks
    assert causality_probe(lambda ids: ids.cumsum(0), ids, axis=0).causal


@pytest.mark.parametrize("probe", [causality_probe, prefix_probe])
def test_one_token_is_not_called_causal(probe):
    found = probe(lambda x: x, random_input(0, (1, N, D)), axis=0)
    assert not found.causal
    assert str(found).startswith(
        "Nothing was tried: x has 1 token on axis 0 of (1, 6, 4), and it takes two for one to read the other. "
    )


@pytest.mark.parametrize(
    ("axis", "error", "words"),
    [
        (2, ValueError, r"axis: expected an axis of x, whose shape is \(6, 4\), got 2"),
        (-3, ValueError, "axis: expected at least -2, got -3"),
        ("time", TypeError, "axis: expected an integer"),
    ],
)
def test_an_axis_that_is_none(axis, error, words):
    with pytest.raises(error, match=words):
        causality_probe(lambda x: x, random_input(0, (N, D)), axis=axis)


def test_an_output_must_have_the_batch_where_the_input_has_it():
    with pytest.raises(ValueError, match=r"of shape \(6, 2, \.\.\.\), got \(6, 3, 4\)"):
        prefix_probe(
            lambda x: np.concatenate([x, x[:, :1]], axis=1),
            random_input(0, (N, 2, D)),
            axis=0,
        )


# ---- Rows of a batch ----


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_that_read_each_other_are_reported(axis):
    """Token j changed in all rows at once shows nothing of it: the other row's token j may be read."""
    x = random_input(0, (3, N, D) if axis else (N, 3, D))

    def mixed(x):
        return x + 0.5 * np.roll(x, 1, axis=1 - axis)

    for probe in (causality_probe, prefix_probe):
        found = probe(mixed, x, axis=axis)
        assert not found.leaks
        assert found.row_leaks == [(0, 2), (1, 0), (2, 1)]
        assert not found.causal
        assert "of the batch moves when row" in str(found)
        assert not probe(lambda x: x.cumsum(axis), x, axis=axis).row_leaks


def test_rows_of_ids_that_read_each_other_are_reported():
    ids = np.random.default_rng(0).integers(9, size=(2, N))
    f = lambda ids: ids + ids[::-1]  # noqa: E731
    assert causality_probe(f, ids).row_leaks == [(0, 1), (1, 0)]


def test_axes_between_batch_and_tokens_are_no_rows():
    """Heads may be mixed: only the first axis of the batch counts rows."""
    x = random_input(0, (2, 3, N, D))
    assert causality_probe(lambda x: x + x.mean(axis=1, keepdims=True), x).causal
    assert not causality_probe(lambda x: x + x.mean(axis=0), x).causal


# ---- Each number by itself ----


@pytest.mark.parametrize("token", [0, 3, N - 1])
def test_one_huge_activation_hides_no_leak(token):
    def f(x):
        outputs = x + 0.01 * np.roll(x, -1, axis=0)
        outputs[token, 2] = 3e4 * (1 + 0.1 * np.tanh(x[token, 2]))
        return outputs

    x = random_input(0, (N, D)).astype(np.float32)
    found = causality_probe(f, x)
    assert found.leaks == [(i, i + 1) for i in range(N - 1)]
    assert re.search(
        rf"far larger than most: [23]\.\d*e\+04 at token {token}, number 2\.",
        str(found),
    )
    assert "far larger" not in str(causality_probe(lambda x: x, x))


def test_a_huge_feature_hides_no_leak_in_the_others():
    scale = np.array([1e4, 1, 1, 1])
    x = random_input(0, (N, D)).astype(np.float32)
    found = prefix_probe(lambda x: scale * (x + len(x) * 1e-3), x)
    assert len(found.leaks) == N * (N - 1) // 2


def test_a_small_number_among_usual_ones_may_be_rounded_as_they_are():
    """A single feature that passes through 0: it was rounded while it was large."""
    rounded = lambda x: x + np.float32(2e-7) * len(x)  # noqa: E731
    x = random_input(0, (N, 1)).astype(np.float32)
    x[2] = 1e-6
    assert prefix_probe(rounded, x).causal
    # Where all numbers are small, they count.
    assert not prefix_probe(rounded, 1e-6 * x).causal


def test_a_triangle_of_fill_values_hides_no_leak():
    """Scores with −1e9 above the diagonal: it is the largest number of most rows and of most columns."""

    def masked_scores(x):
        leak = 0.01 * np.roll(x[:, 0], -1)
        return np.where(np.tri(N) > 0, x[:, :1] + np.diag(leak), np.float32(-1e9))

    x = random_input(0, (N, D)).astype(np.float32)
    f = lambda x: masked_scores(x).astype(np.float32)  # noqa: E731
    assert causality_probe(f, x).leaks == [(i, i + 1) for i in range(N - 1)]


def test_rounding_of_a_token_without_size_is_no_difference():
    """Its distance from the mean of the tokens so far: at the first token there is nothing but rounding."""
    first = np.arange(N)[:, None] == 0
    f = lambda x: np.where(first[: len(x)], 1e-15 * len(x), x)  # noqa: E731
    assert prefix_probe(f, random_input(0, (N, D))).causal


def test_rounding_of_a_constant_feature_is_no_difference():
    ones = lambda x: np.ones((len(x), 1)) + 1e-15 * len(x)  # noqa: E731
    f = lambda x: np.concatenate([x, ones(x)], axis=1)  # noqa: E731
    assert prefix_probe(f, random_input(0, (N, D))).causal


# ---- Loud and equal inputs ----

X = random_input(1, (8, D))


@pytest.mark.parametrize("loud", [30, 1e3, 1e5])
@pytest.mark.parametrize("kind", ["dot", "cosine", "distance"])
def test_every_pair_of_a_loud_unmasked_head_is_found(kind, loud):
    """In a loud head one key takes all the weight, and hides the others."""
    w_q, w_k = random_input(2, (2, D, D))

    def head(x):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        scores = {
            "dot": x @ w_q @ (x @ w_k).T,
            "cosine": unit @ unit.T,
            "distance": -((x[:, None] - x) ** 2).sum(axis=-1),
        }[kind]
        return softmax(loud * scores) @ x

    assert len(causality_probe(head, X, seeds=(0,)).leaks) == 28


def scores(x):
    w_q, w_k = random_input(3, (2, D, D))
    return x @ w_q @ (x @ w_k).T / 2


def small_fill(x):
    return softmax(np.where(causal.dense(len(x)), scores(x), -1e4)) @ x


def cap_after_the_mask(x):
    masked = np.where(causal.dense(len(x)), scores(x), -np.inf)
    return softmax(50 * np.tanh(masked / 50)) @ x


@pytest.mark.parametrize("f", [small_fill, cap_after_the_mask])
def test_what_only_a_loud_input_shows_is_found(f):
    assert not causality_probe(f, X).causal


def test_an_input_that_is_too_much_for_a_function_accuses_nobody():
    def narrow(x):
        with np.errstate(invalid="ignore"):
            return np.cumsum(np.sqrt(100 - np.abs(x).max()) + x, axis=0)

    def same_spread(x):
        with np.errstate(invalid="ignore", divide="ignore"):
            return x * (x.std(axis=0) / x.std(axis=0))

    assert not np.isfinite(same_spread(np.ones((N, D)))).any()
    assert causality_probe(same_spread, X).causal
    assert not np.isfinite(narrow(60 * X)).any()
    assert causality_probe(narrow, X, scales=(0.1,)).leaks  # and it does leak


def test_the_amount_is_that_of_usual_inputs():
    found = causality_probe(lambda x: x, X, scales=(1.0,), seeds=(0,))
    assert found.matrix.max() < 10 * X.std()


# ---- What is allowed and never read ----


def test_dropped_keys_are_lost():
    kept = causal & Mask(lambda i, j: (j < 2) | (j > 2))
    found = causality_probe(
        lambda x: numpy_attention.attention(x, np.ones((N, 1)) @ np.ones((1, D)), x, kept) + 0 * x,
        random_input(0, (N, D)),
    )  # fmt: skip
    assert found.causal
    assert found.lost == [(i, 2) for i in range(2, N)]
    assert "It may read 21 pairs and never read 4 of them, such as (5, 2)." in str(
        found
    )
    picture = found.figure()
    rings = {
        (int(i), int(j))
        for line in picture.figure.axes[0].lines
        if line.get_marker() == "o"
        for j, i in line.get_xydata()
    }
    assert rings == set(found.lost)
    assert "Rings at (2, 2), (3, 2), (4, 2), (5, 2)." in picture.alt


def test_targets_shifted_twice_are_lost():
    def two_back(x):
        hidden = np.cumsum(x, axis=0)
        return np.concatenate([np.zeros((2, D)), hidden[:-2]])

    found = causality_probe(two_back, random_input(0, (N, D)), mask=STRICTLY_BEFORE)
    assert found.causal
    assert found.lost == [(i, i - 1) for i in range(1, N)]


def test_a_forgotten_batch_first_is_lost():
    """The encoder attends over the batch, if one says that axis 1 holds the tokens."""
    found = causality_probe(encoder(), tensor(3, N, 8), axis=1, seeds=(0,))
    assert found.lost == [(i, j) for i in range(N) for j in range(i)]
    assert found.row_leaks
    assert not found.causal


def test_nothing_is_lost_where_all_is_read():
    found = causality_probe(lambda x: np.cumsum(x, axis=0), random_input(0, (N, D)))
    assert found.lost == []
    assert "never read" not in str(found)
    assert "No rings." in found.figure().alt


def test_each_further_seed_brings_a_base_of_its_own():
    """Around a random input each token is changed twice for each of three scales."""
    x = np.random.default_rng(0).normal(size=(4, 3))
    one, three = (
        causality_probe(lambda x: x, x, seeds=seeds).changes
        for seeds in ((0,), (0, 1, 2))
    )
    assert three - one == 2 * 2 * 3


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0)])
def test_where_there_are_no_numbers_nothing_is_called_causal(shape):
    for probe in (causality_probe, prefix_probe):
        found = probe(lambda x: x.mean(axis=-2, keepdims=True) + x, np.zeros(shape))
        assert not found.causal
        assert f"x of shape {shape} holds no numbers" in str(found)


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_no_ids_at_all(shape):
    for probe in (causality_probe, prefix_probe):
        assert not probe(lambda ids: ids, np.zeros(shape, int)).causal
