"""What the chapters say about trained models holds for three seeds; each chapter shows one.

Some minutes of training, so `make test-all` alone runs it.
"""

import math
import os
from functools import cache, partial

import pytest
import torch

from lib.masks import Mask, block_causal, causal, full
from lib.models import (
    NOTHING,
    Decoder,
    Texts,
    Vocabulary,
    accuracy_by_distance,
    die,
    drawer,
    honest,
    lookup,
    parallel,
    train,
)
from lib.torch_attention import softmax

pytestmark = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "thorough",
    reason="minutes of training: `make test-all` runs it",
)
SEEDS = (0, 1, 2)
BLIND = math.log(8)  # the loss of who guesses all eight faces alike
TWO_AHEAD = Mask(lambda i, j: (j <= i) | (j - i == 2))
TEST = die(2000, generator=drawer(7))


def trained_on_the_die(mask, seed, *, layers=2, change=None, data=die, steps=150):
    model = Decoder(8, layers=layers, seed=seed)
    if change:
        change(model)
    train(model, mask, data, steps=steps, seed=seed)
    return model


# Chapter 5, "Two ways to ask a model" and "Seven masks and a die"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("block", [1, 2, 4, 8])
def test_blocks_divide_the_loss_that_can_be(block, layers, seed):
    """A block of b copies all of its throws but one: ln 8 / b. Cut, a model that copies is worse than a blind guess."""
    mask = block_causal(block)
    model = trained_on_the_die(mask, seed, layers=layers)
    assert abs(parallel(model, mask, TEST).loss - BLIND / block) < 0.06
    cut = honest(model, mask, TEST).loss
    assert abs(cut - BLIND) < 0.05 if block == 1 else cut > BLIND + 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_two_ahead_leaks_through_two_layers_and_not_through_one(seed):
    one = trained_on_the_die(TWO_AHEAD, seed, layers=1)
    two = trained_on_the_die(TWO_AHEAD, seed, layers=2)
    assert abs(parallel(one, TWO_AHEAD, TEST).loss - BLIND) < 0.1
    assert abs(honest(one, TWO_AHEAD, TEST).loss - BLIND) < 0.1
    assert parallel(two, TWO_AHEAD, TEST).loss < 1.5
    assert honest(two, TWO_AHEAD, TEST).loss > 2.4


def weighed(weights, model):
    """The weights of every layer come from `weights(scores, may)`, `may` being the causal mask."""

    def attend(q, k, v, mask, cache):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        return weights(scores, torch.tensor(causal.dense(q.shape[-2]))) @ v

    for block in model.blocks:
        block.attention.attend = attend


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "weights",
    [
        lambda scores, may: softmax(scores * may),
        lambda scores, may: softmax(scores) * may,
    ],
    ids=["scores multiplied", "after the softmax"],
)
def test_masks_put_on_wrongly_are_found_by_training(weights, seed):
    model = trained_on_the_die(
        causal, seed, change=partial(weighed, weights), steps=200
    )
    assert parallel(model, causal, TEST).loss < 1.5
    assert honest(model, causal, TEST).loss > BLIND + 0.05


def unshifted(batch, *, generator):
    texts = die(batch, generator=generator)
    start = texts.tokens == 8
    return texts._replace(targets=texts.tokens.masked_fill(start, NOTHING))


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_that_are_not_shifted_teach_to_copy(seed):
    model = trained_on_the_die(causal, seed, data=unshifted)
    assert parallel(model, causal, unshifted(2000, generator=drawer(7))).loss < 0.06
    assert honest(model, causal, TEST).loss > 4


@cache
def reader(mask, seed):
    model = Decoder(Vocabulary(), seed=seed)
    train(model, mask, lookup, steps=150, until=0.02, seed=seed)
    return model


STORIES = lookup(1000, generator=drawer(7))


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_mask_nothing_is_looked_up(seed):
    assert parallel(reader(full, seed), full, STORIES).accuracy > 0.98
    assert honest(reader(full, seed), full, STORIES).accuracy < 0.1875


# "Sublayers that break it"


@pytest.mark.parametrize("seed", SEEDS)
def test_training_finds_a_mean_over_the_tokens(seed):
    def add_mean(model):
        for block in model.blocks:
            block.feed_forward.register_forward_hook(
                lambda layer, inputs, output: output + inputs[0].mean(-2, keepdim=True)
            )

    model = trained_on_the_die(causal, seed, change=add_mean, steps=250)
    assert parallel(model, causal, TEST).loss < 1.6
    assert honest(model, causal, TEST).loss > 2.4


# "What a mask does for training, and what not"


@pytest.mark.parametrize("seed", SEEDS)
def test_models_overfit_with_a_mask_and_without(seed):
    few = die(100, generator=drawer(1))

    def again(batch, *, generator):
        chosen = torch.randint(100, (batch,), generator=generator)
        return Texts(few.tokens[chosen], few.targets[chosen])

    masked = trained_on_the_die(causal, seed, data=again, steps=300)
    assert parallel(masked, causal, few).loss < 1.3
    assert parallel(masked, causal, TEST).loss > 3
    unmasked = trained_on_the_die(full, seed, data=again, steps=300)
    old, new = (parallel(unmasked, full, texts).loss for texts in (few, TEST))
    assert old < 0.2
    assert old + 0.2 < new < 1.6
    assert honest(unmasked, full, TEST).loss > 3.5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_causal_model_looks_up_at_every_distance(seed):
    found = accuracy_by_distance(reader(causal, seed), causal, STORIES)
    assert list(found) == list(range(1, 23))
    assert min(found.values()) > 0.95
