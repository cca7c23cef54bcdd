"""A decoder and an encoder, about a page each, on `SelfAttention` (Chapter 5, "The class").

Shapes: tokens are whole numbers (batch, n); what goes from block to block is (batch, n, width).

A model knows `size` kinds of token, 0 to size − 1, and one more, `start` = size, that a text may begin with: it is
read and never predicted, so that the probabilities of what may come next are shared out among real tokens.
"""

from collections.abc import Sequence

import torch
from torch import nn

from lib.decoding import KVCache
from lib.masks import Mask, causal, full
from lib.models.layers import SelfAttention
from lib.models.seeds import seeded
from lib.models.vocabulary import Vocabulary
from lib.readings import arguments


class Block(nn.Module):
    """Each token reads others, then works on what it has: x + attention(norm(x)), then x + feed_forward(norm(x)).

    With ``cross=True`` it also reads a memory, the output of an `Encoder`, between the two.
    """

    def __init__(self, width: int, heads: int, cross: bool = False):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        if cross:
            self.cross_norm = nn.LayerNorm(width)
            self.cross = SelfAttention(width, heads, full)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self,
        x: torch.Tensor,
        mask: Mask = causal,
        *,
        cache: KVCache | None = None,
        memory: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x and the result (batch, n, width), `memory` (batch, tokens, width)."""
        x = x + self.attention(self.attention_norm(x), mask=mask, cache=cache)
        if memory is not None:
            x = x + self.cross(self.cross_norm(x), memory)
        return x + self.feed_forward(self.feed_forward_norm(x))


def blocks(layers: int, width: int, heads: int, cross: bool = False) -> nn.ModuleList:
    """That many layers of a model."""
    arguments.integer("layers", layers, at_least=1)
    return nn.ModuleList(Block(width, heads, cross) for _ in range(layers))


class Embedding(nn.Module):
    """A vector for each token, plus one for its place if `positions`; both are learned."""

    def __init__(self, size: int, width: int, longest: int, positions: bool):
        super().__init__()
        self.longest = arguments.integer("longest", longest, at_least=1)
        self.token = nn.Embedding(size + 1, width)  # and one for the start
        self.place = nn.Embedding(longest, width) if positions else None

    def forward(self, tokens: torch.Tensor, first: int = 0) -> torch.Tensor:
        """tokens (batch, n) at the places `first`, first + 1, … to (batch, n, width)."""
        end = first + tokens.shape[-1]
        if end > self.longest:
            raise ValueError(
                f"tokens: expected a text of at most {self.longest} tokens, got {end}; "
                f"build the model with longest={end} or more"
            )
        x = self.token(tokens)
        if self.place is not None:
            x = x + self.place(torch.arange(first, end, device=tokens.device))
        return x


class Encoder(nn.Module):
    """Blocks in which every token reads every token; its output is the memory of a ``Decoder(…, cross=True)``."""

    def __init__(
        self,
        vocabulary: Vocabulary | int,
        *,
        width: int = 32,
        heads: int = 2,
        layers: int = 2,
        longest: int = 64,
        positions: bool = True,
        seed: int = 0,
    ):
        super().__init__()
        self.size = self.start = kinds(vocabulary)
        with seeded(seed):
            self.embedding = Embedding(self.size, width, longest, positions)
            self.blocks = blocks(layers, width, heads)
            self.norm = nn.LayerNorm(width)
            self.apply(initialise)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (batch, n) to (batch, n, width)."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, full)
        return self.norm(x)


class Decoder(nn.Module):
    """Tokens in, for each of them the logits of the next one out, under any mask (Chapter 5, "The class").

    `vocabulary`: a `Vocabulary`, or how many kinds of token there are. `longest`: of how many tokens a text may be.
    Without `positions` a token tells where it stands only by what it may read. ``cross=True``: every block also
    reads a memory. The same `seed` gives the same weights; the caller's random numbers are left as they are.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | int,
        *,
        width: int = 32,
        heads: int = 2,
        layers: int = 2,
        longest: int = 64,
        positions: bool = True,
        cross: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.size = self.start = kinds(vocabulary)
        self.cross = cross
        with seeded(seed):
            self.embedding = Embedding(self.size, width, longest, positions)
            self.blocks = blocks(layers, width, heads, cross)
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, self.size)
            self.apply(initialise)

    def forward(
        self,
        tokens: torch.Tensor,
        mask: Mask | Sequence[Mask] = causal,
        *,
        cache: Sequence[KVCache] | None = None,
        memory: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """tokens (batch, n) to logits (batch, n, size).

        `mask`: one for all layers, or a list with one for each. With a `cache`, one for each layer (`caches`), the
        tokens are the next ones of a text. `memory` (batch, tokens, width) is what a decoder with ``cross=True``
        reads besides, and only that one. ValueError or TypeError for what does not fit.
        """
        if (memory is not None) != self.cross:
            raise ValueError(
                f"memory: expected {'one' if self.cross else 'none'}, since this decoder was built with "
                f"cross={self.cross}, got {'none' if memory is None else 'one'}"
            )
        layers = len(self.blocks)
        masks, held, first = masks_of(mask, layers), [None] * layers, 0
        if cache is not None:
            held = one_each("cache", cache, KVCache, layers)
            first = len(held[0])
        x = self.embedding(tokens, first)
        for block, allowed, kept in zip(self.blocks, masks, held, strict=True):
            x = block(x, allowed, cache=kept, memory=memory)
        return self.head(self.norm(x))


class EncoderDecoder(nn.Module):
    """An encoder reads the source, a decoder writes what belongs to it and reads the source by cross-attention.

    Arguments as of `Decoder`; `layers` is the number of each.
    """

    def __init__(self, vocabulary: Vocabulary | int, *, seed: int = 0, **sizes):
        super().__init__()
        self.encoder = Encoder(vocabulary, seed=seed, **sizes)
        self.decoder = Decoder(vocabulary, cross=True, seed=seed + 1, **sizes)
        self.size = self.start = self.decoder.size

    def forward(
        self,
        tokens: torch.Tensor,
        mask: Mask | Sequence[Mask] = causal,
        *,
        source: torch.Tensor,
    ) -> torch.Tensor:
        """tokens (batch, n), `source` (batch, tokens) to logits (batch, n, size)."""
        return self.decoder(tokens, mask, memory=self.encoder(source))


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """The two lines of initialisation with which everything in Chapters 4 to 8 is learned.

    With the defaults of PyTorch, embeddings of N(0, 1), looking up is learned late and not in every run; with its
    narrower linear layers a model that reads a text twice stays at 0.4 where this one comes to 1.
    """
    if isinstance(module, nn.Linear):  # numbers that come in at size 1 go out at size 1
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


def kinds(vocabulary: Vocabulary | int) -> int:
    """How many kinds of token a vocabulary has, which may be given as a number."""
    if isinstance(vocabulary, Vocabulary):
        return vocabulary.size
    return arguments.integer("vocabulary", vocabulary, at_least=1)


def masks_of(mask: Mask | Sequence[Mask], layers: int) -> list[Mask]:
    """A mask for each layer: one and the same, or those of the list."""
    return one_each(
        "mask", [mask] * layers if isinstance(mask, Mask) else mask, Mask, layers
    )


def one_each(name: str, given: Sequence, kind: type, layers: int) -> list:
    """The list `given`, if it has one of its `kind` for each layer."""
    if not isinstance(given, Sequence):
        raise TypeError(
            f"{name}: expected a {kind.__name__} for each of the {layers} layers, got {type(given).__name__}"
        )
    for layer, one in enumerate(given):
        if not isinstance(one, kind):
            raise TypeError(
                f"{name}: expected a {kind.__name__} for layer {layer}, got {type(one).__name__}"
            )
    if len(given) != layers:
        raise ValueError(
            f"{name}: expected one for each of the {layers} layers, got {len(given)}"
        )
    return list(given)
