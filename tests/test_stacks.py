"""Stacks of near and far layers."""

import numpy as np
import pytest
import torch

from lib.masks import causal, window
from lib.models import Decoder, local_global
from lib.tiles import receptive_field


def test_every_sixth_layer_reads_everything():
    """The layers of gemma-3-1b: 26, of which the 6th, 12th, 18th and 24th are full."""
    masks = local_global(26, 512)
    assert [n for n, mask in enumerate(masks, 1) if mask == causal] == [6, 12, 18, 24]
    assert set(masks) == {causal, causal & window(512)}


def test_every_second_layer_as_in_gpt_oss():
    near = causal & window(128)
    assert local_global(5, 128, every=2) == [near, causal, near, causal, near]


def test_a_stack_with_one_full_layer_reaches_everything():
    assert np.array_equal(
        receptive_field(local_global(3, 2, every=3), 40), np.arange(41)
    )
    assert len(receptive_field(local_global(2, 2, every=3), 40)) == 3


def test_a_decoder_takes_it():
    model = Decoder(8, layers=3)
    tokens = torch.randint(8, (1, 12), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 0] = (changed[0, 0] + 1) % 8
    with torch.no_grad():
        for every, moves in ((3, True), (4, False)):
            masks = local_global(3, 2, every=every)
            difference = (model(tokens, masks) - model(changed, masks))[0, -1]
            assert bool(difference.any()) == moves


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((0, 4), "n_layers: .*0"),
        ((2, 0), "^w: .*0"),
        ((2, 4, 0), "every: .*0"),
    ],
)
def test_numbers_below_one_are_refused(given, named):
    with pytest.raises(ValueError, match=named):
        local_global(*given)
