"""The layer that every model of the course is made of (Chapter 2, "The layer")."""

import torch
from torch import nn

from lib.decoding import KVCache
from lib.masks import Mask, causal
from lib.readings import arguments
from lib.torch_attention import attention


class SelfAttention(nn.Module):
    """Attention with heads; `mask` says who may read whom.

    `features` of a token are shared out among `heads`, so they must be a multiple of them: else ValueError.
    `dropout` is the share of the output's numbers that training sets to zero, at least 0 and below 1.
    """

    def __init__(
        self, features: int, heads: int, mask: Mask = causal, dropout: float = 0.0
    ):
        super().__init__()
        self.heads = arguments.integer("heads", heads, at_least=1)
        features = arguments.integer("features", features, at_least=1)
        if features % heads:
            raise ValueError(
                f"features: expected a multiple of heads, which share them; got {features} features for {heads} heads"
            )
        self.mask = mask
        self.query, self.key, self.value, self.out = (
            nn.Linear(features, features, bias=False) for _ in range(4)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        source: torch.Tensor | None = None,
        *,
        mask: Mask | None = None,
        cache: KVCache | None = None,
    ) -> torch.Tensor:
        """x (..., tokens, features) reads itself, or the tokens of `source` (..., tokens, features).

        The result has the shape of `x`. Reading a source is cross-attention, and its mask must not speak of order.
        `mask`, if given, is the one of this call in place of the layer's own. With a `cache`, `x` is the next tokens of
        a text whose earlier ones the cache has (Chapter 6); ValueError if it was made for another mask, since what it
        kept was chosen by that one.
        """
        mask = self.mask if mask is None else mask
        if source is None:
            source = x
        elif mask.ordered or cache is not None:
            raise ValueError(
                f"source: expected a mask that does not speak of order, such as full, and no cache, since the tokens "
                f"of a source neither precede nor follow those of x; got {mask!r} and "
                f"{'no' if cache is None else 'a'} cache"
            )
        if cache is not None and cache.mask != mask:
            raise ValueError(
                f"cache: expected one made for the mask of this call, {mask!r}, got one for {cache.mask!r}"
            )
        q = self._split(self.query(x))
        k, v = self._split(self.key(source)), self._split(self.value(source))
        heads = self.attend(q, k, v, mask, cache)
        return self.dropout(self.out(heads.transpose(-3, -2).flatten(-2)))

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: Mask,
        cache: KVCache | None,
    ) -> torch.Tensor:
        """The one call of attention, on (..., heads, tokens, features / heads). To try another, put it in this place:

        >>> layer.attend = lambda q, k, v, mask, cache: attention(q, k, v, window(2))
        """
        if cache is None:
            return attention(q, k, v, mask)
        return cache.attend(q, k, v)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(..., tokens, features) to (..., heads, tokens, features of a head)."""
        size = self.query.out_features // self.heads
        return x.unflatten(-1, (-1, size)).transpose(-3, -2)
