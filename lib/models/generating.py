"""Writing: one token after another, with a cache for each layer or the whole text each time (Chapter 6)."""

from collections.abc import Callable, Sequence

import torch

from lib.decoding import KVCache
from lib.masks import Mask
from lib.models.decoder import Decoder, masks_of
from lib.readings import arguments

# From logits (batch, size) to the next token of each text, (batch,).
Sampler = Callable[[torch.Tensor], torch.Tensor]


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest token of each text."""
    return logits.argmax(dim=-1)


def sampling(generator: torch.Generator, temperature: float = 1.0) -> Sampler:
    """A sampler that draws each token with its probability, softmax(logits / temperature)."""
    if not temperature > 0:
        raise ValueError(
            f"temperature: expected more than 0, got {temperature}; for the likeliest token take greedy"
        )

    def draw(logits: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(logits.to(generator.device) / temperature, dim=-1)
        token = torch.multinomial(weights, 1, generator=generator)
        return token.squeeze(-1).to(logits.device)

    return draw


def caches(
    decoder: Decoder, mask: Mask | Sequence[Mask], longest: int | None = None
) -> list[KVCache]:
    """An empty cache for each layer, made for that layer's mask; ``len(caches[0])`` tokens have been given so far.

    `longest`: of how many tokens the text will be at most; masks that hold tables need it (`KVCache`).
    """
    masks = masks_of(mask, len(decoder.blocks))
    return [KVCache(allowed, longest) for allowed in masks]


@torch.no_grad()
def generate(
    decoder: Decoder,
    mask: Mask | Sequence[Mask],
    tokens: torch.Tensor,
    n: int,
    *,
    cache: bool = True,
    sampler: Sampler = greedy,
    memory: torch.Tensor | None = None,
) -> torch.Tensor:
    """`tokens` (batch, m), at least one, and n more behind them: (batch, m + n) (Chapter 6).

    With a `cache` the text is read once, in one call, and then each new token alone. Without one the whole text is read
    for every token: the same outputs under a causal mask, and for a mask that no cache can serve.
    """
    arguments.integer("n", n, at_least=0)
    if tokens.ndim != 2 or not tokens.shape[1]:
        raise ValueError(
            f"tokens: expected (batch, m) with at least one token to begin with, such as the start, got shape "
            f"{tuple(tokens.shape)}"
        )
    held = caches(decoder, mask, tokens.shape[1] + n) if cache else None
    unread = tokens
    for _ in range(n):
        logits = decoder(unread if cache else tokens, mask, cache=held, memory=memory)
        unread = sampler(logits[:, -1])[:, None]
        tokens = torch.cat([tokens, unread], dim=1)
    return tokens
