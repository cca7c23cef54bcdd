"""The layer that every model of the course is made of (Chapter 2, "The layer")."""

import torch
from torch import nn

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
        self, x: torch.Tensor, source: torch.Tensor | None = None
    ) -> torch.Tensor:
        """x (..., tokens, features) reads itself, or the tokens of `source` (..., tokens, features).

        The result has the shape of `x`. Reading a source is cross-attention.
        """
        source = x if source is None else source
        q = self._split(self.query(x))
        k, v = self._split(self.key(source)), self._split(self.value(source))
        heads = attention(q, k, v, self.mask)
        return self.dropout(self.out(heads.transpose(-3, -2).flatten(-2)))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(..., tokens, features) to (..., heads, tokens, features / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
