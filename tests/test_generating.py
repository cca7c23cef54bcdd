"""Writing with `lib.models.generate`: with a cache and without, the same text; and it is read as seldom as can be."""

import pytest
import torch

from lib.masks import block_causal, causal, explicit, full, prefix, sink, window
from lib.models import (
    WORDS,
    Decoder,
    Encoder,
    caches,
    drawer,
    generate,
    grammatical,
    greedy,
    sampling,
    sentences,
    spelled,
    train,
)

KINDS = 7


def decoder(**sizes):
    return Decoder(KINDS, width=16, longest=16, **sizes).double().eval()


def prompt(batch=2, n=4):
    return torch.randint(KINDS, (batch, n), generator=drawer(1))


@pytest.mark.parametrize(
    "mask",
    [
        causal,
        causal & window(3),
        causal & (window(2) | sink(1)),
        causal | prefix(4),  # the prompt is the prefix
        explicit(causal.dense(12)),
        [causal & window(2), causal],
    ],
    ids=repr,
)
def test_the_text_is_the_same_with_a_cache_and_without(mask):
    model = decoder()
    for sampler in (lambda: greedy, lambda: sampling(drawer(3))):
        written = [
            generate(model, mask, prompt(), 8, cache=cache, sampler=sampler())
            for cache in (True, False)
        ]
        assert torch.equal(*written)
        assert written[0].shape == (2, 12)
        assert torch.equal(written[0][:, :4], prompt())


def test_each_new_token_is_the_likeliest_after_the_text_before_it():
    model = decoder()
    text = generate(model, causal, prompt(), 8)
    logits = model(text[:, :-1])
    assert torch.equal(logits[:, 3:].argmax(dim=-1), text[:, 4:])
    assert len(text[:, 4:].unique()) > 1


def test_a_prompt_is_read_in_one_call_and_then_one_token_at_a_time():
    model, sizes = decoder(), []
    model.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[1]))
    generate(model, causal, prompt(), 3)
    generate(model, causal, prompt(), 3, cache=False)
    assert sizes == [4, 1, 1, 4, 5, 6]


def test_a_memory_is_read_at_each_token():
    model = decoder(cross=True)
    memories = Encoder(KINDS, width=16, layers=1).double()(prompt(2, 5))
    written = [
        generate(
            model, causal, prompt(1).expand(2, -1), 8, cache=cache, memory=memories
        )
        for cache in (True, False)
    ]
    assert torch.equal(*written)


def test_a_mask_that_looks_ahead_is_written_without_a_cache_or_refused():
    model = decoder()
    for mask in (full, causal | prefix(6), block_causal(8)):
        with pytest.raises(ValueError, match=r"may read key .* which comes only now"):
            generate(model, mask, prompt(), 4)
        text = generate(model, mask, prompt(), 4, cache=False)
        for t in range(4, 8):
            likeliest = model(text[:, :t], mask)[:, -1].argmax(dim=-1)
            assert torch.equal(text[:, t], likeliest)


def test_caches_are_one_for_each_layer_and_keep_what_its_mask_can_see():
    model = decoder(layers=3)
    given = [causal, causal & window(3), causal & sink(2)]
    held = caches(model, given)
    model(prompt(1, 9), given, cache=held)
    kept = [cache.kept.tolist() for cache in held]
    assert kept == [list(range(9)), [7, 8], [0, 1]]


def test_sampling_draws_with_the_probabilities_of_the_model():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(20_000, -1)
    for temperature in (1.0, 0.5):
        drawn = sampling(drawer(0), temperature)(logits)
        shares = drawn.bincount(minlength=3) / len(drawn)
        wanted = torch.softmax(logits[0] / temperature, dim=-1)
        assert ((shares - wanted).abs() < 0.02).all()


def test_nothing_more_is_the_text_itself():
    assert torch.equal(generate(decoder(), causal, prompt(), 0), prompt())


def test_a_small_model_writes_sentences():
    model = Decoder(len(WORDS))
    train(model, causal, sentences, steps=120)
    start = torch.full((100, 1), model.start)
    written = generate(model, causal, start, 12, sampler=sampling(drawer(1)))
    right = sum(grammatical(spelled(text)) for text in written)
    assert right > 60
    assert len({spelled(text) for text in written}) > 50


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (
            "n: expected at least 0, got -1",
            lambda: generate(decoder(), causal, prompt(), -1),
        ),
        (
            r"tokens: expected \(batch, m\) with at least one .* got shape \(2, 0\)",
            lambda: generate(decoder(), causal, prompt(2, 0), 1),
        ),
        (
            r"tokens: expected \(batch, m\) .* got shape \(4,\)",
            lambda: generate(decoder(), causal, prompt()[0], 1),
        ),
        (
            "tokens: expected a text of at most 16 tokens, got 17",
            lambda: generate(decoder(), causal, prompt(), 14),
        ),
        ("temperature: expected more than 0, got 0", lambda: sampling(drawer(0), 0)),
    ],
)
def test_what_cannot_be_continued_is_refused(words, call):
    with pytest.raises(ValueError, match=words):
        call()
