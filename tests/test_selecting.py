"""`TopKAttention`: `SelfAttention` in which each query chooses its tiles, and the choice is causal."""

import pytest
import torch

from lib.adaptive import top_k_tiles
from lib.decoding import KVCache
from lib.masks import causal, coarse, explicit, window
from lib.models import Decoder, SelfAttention, TopKAttention
from lib.probe import causality_probe


def layer_with(**sizes):
    torch.manual_seed(0)
    return TopKAttention(8, 2, **sizes).double()


def tokens(*shape, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 8, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("share", [1, 2, 4])
def test_it_is_attention_under_the_mask_of_its_choice(share):
    layer, x = layer_with(size=4, keep=2, share=share), tokens(3, 14)
    plain = SelfAttention(8, 2).double()
    plain.load_state_dict(layer.state_dict())
    chosen = layer.choice(x)
    assert chosen.shape == (3, 2, -(-14 // share), 4)
    for text, choice, output in zip(x, chosen, layer(x), strict=True):
        mask = causal & coarse(explicit(choice), 4, share)
        torch.testing.assert_close(plain(text, mask=mask), output)


def test_each_head_chooses_by_its_own_queries_and_keys():
    layer, x = layer_with(size=2, keep=2), tokens(12)
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        q, k = (part(x)[:, own] for part in (layer.query, layer.key))
        assert torch.equal(layer.choice(x)[head], top_k_tiles(q, k, size=2, keep=2))
    assert not torch.equal(*layer.choice(x))


def test_all_tiles_kept_is_causal_attention():
    layer, x = layer_with(size=4, keep=3), tokens(12)
    plain = SelfAttention(8, 2).double()
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), plain(x))


@pytest.mark.parametrize("share", [1, 3])
def test_no_output_moves_with_a_later_token(share):
    layer = layer_with(size=3, keep=2, share=share)
    assert causality_probe(layer, tokens(9)).causal


def test_it_takes_the_place_of_attention_in_a_decoder():
    model = Decoder(5, layers=1)
    model.blocks[0].attention = TopKAttention(32, 2, size=2, keep=2)
    logits = model(torch.tensor([[0, 1, 2, 3, 4]]))
    assert logits.shape == (1, 5, 5)
    logits.sum().backward()
    assert model.blocks[0].attention.key.weight.grad.abs().sum() > 0


def test_it_refuses_what_it_cannot_do():
    layer, x = layer_with(size=2, keep=2), tokens(6)
    with pytest.raises(ValueError, match=r"mask: expected causal .* got .*window\(2\)"):
        layer(x, mask=causal & window(2))
    with pytest.raises(ValueError, match="and a cache"):
        layer(x, cache=KVCache(causal))
    for name in ("size", "keep", "share"):
        sizes = {"size": 2, "keep": 2, "share": 1, name: 0}
        with pytest.raises(ValueError, match=name):
            TopKAttention(8, 2, **sizes)
    with pytest.raises(ValueError, match="share"):
        layer_with(size=4, keep=2, share=3)(x)
