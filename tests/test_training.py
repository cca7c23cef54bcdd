"""Training and scores of `lib.models`: lookup is learned, the same seed repeats, a score by parts is honest."""

import os
import sys
from functools import partial

import pytest
import torch
from torch import nn

from lib.masks import block_causal, causal, full, padding, window
from lib.models import (
    NOTHING,
    Decoder,
    EncoderDecoder,
    Texts,
    Vocabulary,
    accuracy_by_distance,
    die,
    drawer,
    honest,
    lookup,
    majority,
    parallel,
    seeded,
    stories,
    train,
)
from lib.models.training import somebody_looks

# Three seeds take long, so they are for `make test-all`.
SEEDS = [0, 1, 2] if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else [0]
SMALL = {"width": 8, "layers": 1}


@pytest.fixture(scope="module", params=SEEDS)
def learned(request):
    """A decoder that has learned to look up, and its curve: the one of the chapters."""
    model = Decoder(Vocabulary(), seed=request.param)
    curve = train(model, causal, lookup, steps=150, seed=request.param)
    return model, curve


# --- what is learned ----------------------------------------------------------------------------------


def test_lookup_is_learned_in_150_steps_at_every_distance(learned):
    model, curve = learned
    texts = lookup(500, generator=drawer(7))
    assert len(curve) == 150
    assert curve[0] > 2
    assert sum(curve[-10:]) / 10 < 0.05
    assert parallel(model, causal, texts).accuracy > 0.98
    far = accuracy_by_distance(model, causal, texts)
    assert list(far) == list(range(1, 23))
    assert min(far.values()) > 0.9


def test_a_causal_model_scores_in_parallel_what_it_scores_honestly(learned):
    model, _ = learned
    texts = lookup(200, generator=drawer(7))
    for mask in (causal, causal & window(5), [causal, causal & window(9)]):
        assert honest(model, mask, texts) == pytest.approx(parallel(model, mask, texts))
    assert honest(model, full, texts) != pytest.approx(parallel(model, full, texts))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_that_reads_ahead_is_right_in_parallel_and_lost_when_asked_honestly(
    seed,
):
    throws = partial(die, n=4, kinds=4)
    model = Decoder(4, seed=seed)
    train(model, full, throws, steps=100, seed=seed)
    texts = throws(500, generator=drawer(7))
    floor = torch.tensor(4.0).log().item()
    assert parallel(model, full, texts).loss < floor / 2
    assert honest(model, full, texts).loss > floor + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_majority_is_learned_and_lost_with_the_mask(seed):
    model = Decoder(2, layers=1, seed=seed)
    train(model, causal, majority, steps=100, seed=seed)
    texts = majority(500, generator=drawer(7))
    assert parallel(model, causal, texts).accuracy > 0.97
    assert parallel(model, full, texts).accuracy < 0.9


def test_encoder_and_decoder_are_trained_with_a_source():
    v = Vocabulary(keys=4, values=2)

    def questions_about_a_source(batch, *, generator):
        story = stories(batch, pairs=2, questions=1, vocabulary=v, generator=generator)
        source = torch.cat([story.pairs, story.questions], dim=1)
        return Texts(
            torch.full_like(story.answers, v.start), story.answers, source=source
        )

    model = EncoderDecoder(v, layers=1)
    curve = train(model, causal, questions_about_a_source, steps=100)
    assert curve[-1] < 0.3 < curve[0]
    texts = questions_about_a_source(200, generator=drawer(7))
    assert parallel(model, causal, texts).accuracy > 0.95
    assert honest(model, causal, texts) == pytest.approx(parallel(model, causal, texts))


# --- seeds, early stop, modes -------------------------------------------------------------------------


class Noisy(Decoder):
    """It drops numbers while it is trained, and so draws random numbers of PyTorch's own."""

    def __init__(self):
        super().__init__(8, **SMALL)
        self.norm = nn.Sequential(self.norm, nn.Dropout(0.5))


def test_the_same_seed_gives_the_same_curve_and_leaves_the_callers_numbers():
    state = torch.get_rng_state()
    curves = [train(Noisy(), causal, die, steps=5, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]
    texts = [train(Decoder(8), causal, die, steps=1, seed=seed) for seed in (0, 1)]
    assert texts[0] != texts[1]  # the same weights read other texts


def test_seeded_repeats_inside_and_goes_on_outside():
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    inside = []
    for _ in range(2):
        with seeded(3):
            inside.append(torch.rand(2))
    assert torch.equal(*inside)
    assert torch.equal(torch.rand(2), wanted)


def test_training_drops_numbers_and_scoring_does_not():
    model = Noisy().eval()
    modes = []
    model.norm[1].register_forward_pre_hook(lambda part, _: modes.append(part.training))
    train(model, causal, die, steps=2)
    parallel(model, causal, die(3, generator=drawer(0)))
    assert modes == [True, True, False]
    model.train()
    honest(model, causal, die(3, n=1, generator=drawer(0)))
    assert modes[-1]  # a score leaves the mode as it is


def test_training_stops_when_the_last_ten_losses_are_low_enough():
    def mean_of_ten(until):
        curve = train(Decoder(8), full, die, steps=120, batch=8, until=until)
        means = [sum(curve[t - 10 : t]) / 10 for t in range(10, len(curve) + 1)]
        assert all(mean >= until for mean in means[:-1])
        return len(curve), means[-1]

    steps, mean = mean_of_ten(1.5)
    assert 10 < steps < 120
    assert mean < 1.5
    assert mean_of_ten(1e9)[0] == 10
    assert mean_of_ten(0.0)[0] == 120


def test_learning_rate_and_batch_are_those_that_were_asked_for():
    sizes = []

    def data(batch, *, generator):
        sizes.append(batch)
        return die(batch, generator=generator)

    model = Decoder(8, **SMALL)
    before = model.head.bias.clone()
    train(model, causal, data, steps=1, lr=0.125, batch=5)
    assert sizes == [5]
    # The first step of Adam moves every number by the learning rate.
    moved = (model.head.bias - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.125))


def test_the_dtype_is_that_of_the_model_and_its_mask_may_have_a_batch():
    model = Decoder(8, **SMALL).double()
    mask = causal & padding([8, 4])
    train(model, mask, die, steps=2, batch=2)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert 0 <= honest(model, mask, die(2, generator=drawer(0))).accuracy <= 1


# --- scores -------------------------------------------------------------------------------------------


class ReadsAhead(nn.Module):
    """It says the next token wherever it can see it, and 0 where the text ends; it keeps what it was given."""

    def forward(self, tokens, mask):
        self.seen = [*getattr(self, "seen", []), (tuple(tokens.shape), mask)]
        following = torch.cat([tokens[:, 1:], torch.zeros_like(tokens[:, :1])], dim=1)
        return 10.0 * nn.functional.one_hot(following, 4)


TEXTS = Texts(
    tokens=torch.tensor([[1, 2, 3, 1, 0], [3, 3, 1, 2, 2]]),
    targets=torch.tensor(
        [[2, NOTHING, 1, NOTHING, NOTHING], [NOTHING, NOTHING, 2, 0, NOTHING]]
    ),
    distance=torch.tensor([[3, 0, 1, 0, 0], [0, 0, 3, 1, 0]]),
)


def test_parallel_takes_the_whole_text_in_one_pass():
    model = ReadsAhead()
    right, wrong = torch.tensor([3.0, 1.0]) / 4  # the last question asks for another
    sure = (1 + 3 * torch.tensor(-10.0).exp()).log()
    score = parallel(model, causal, TEXTS)
    assert score.accuracy == right
    assert score.loss == pytest.approx((sure + wrong * 10).item())
    assert model.seen == [((2, 5), causal)]


def test_honest_cuts_the_text_behind_each_question():
    model = ReadsAhead()
    score = honest(model, block_causal(2), TEXTS)
    assert score.accuracy == 1 / 4
    assert model.seen == [((2, n), block_causal(2)) for n in (1, 3, 4)]
    assert accuracy_by_distance(model, causal, TEXTS) == {1: 0.5, 3: 0.0}


def test_where_nothing_is_asked_there_is_no_score():
    silent = TEXTS._replace(targets=torch.full_like(TEXTS.targets, NOTHING))
    for score in (parallel, honest, accuracy_by_distance):
        with pytest.raises(ValueError, match=r"texts: .* got none: nothing is asked"):
            score(ReadsAhead(), causal, silent)
    with pytest.raises(ValueError, match=r"texts: .* as those of lookup do, got dista"):
        accuracy_by_distance(ReadsAhead(), causal, TEXTS._replace(distance=None))


# --- the progress bar ---------------------------------------------------------------------------------


def test_a_bar_is_shown_on_request_and_only_on_the_error_stream(capsys):
    train(Decoder(8, **SMALL), causal, die, steps=2, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "training" in shown.err


def test_where_nobody_looks_nothing_is_shown(capsys, monkeypatch):
    for name in ("JPY_SESSION_NAME", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    train(Decoder(8, **SMALL), causal, die, steps=2)
    assert capsys.readouterr() == ("", "")
    assert not somebody_looks()


@pytest.mark.parametrize("name", ["JPY_SESSION_NAME", "COLAB_RELEASE_TAG"])
def test_an_open_notebook_has_a_reader(name, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv(name, "chapter.ipynb")
    assert somebody_looks()


def test_a_terminal_has_a_reader(monkeypatch):
    for name in ("JPY_SESSION_NAME", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert somebody_looks()
