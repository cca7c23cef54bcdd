"""A layer in which each query chooses what it reads (Chapter 8, "8 Take it with you")."""

import torch

from lib.adaptive import top_k_attention, top_k_tiles
from lib.decoding import KVCache
from lib.masks import Mask, causal
from lib.models.layers import SelfAttention
from lib.readings import arguments


class TopKAttention(SelfAttention):
    """Causal attention in which every query reads its own tile of `size` keys and the `keep` − 1 best before it.

    `features` and `heads` as in `SelfAttention`; each head chooses for itself. With `share` = s, s neighbouring queries
    read the tiles that the first of them chooses; it must divide `size`. ValueError for sizes below 1.
    """

    def __init__(
        self, features: int, heads: int, *, size: int, keep: int, share: int = 1
    ):
        super().__init__(features, heads)
        self.size = arguments.integer("size", size, at_least=1)
        self.keep = arguments.integer("keep", keep, at_least=1)
        self.share = arguments.integer("share", share, at_least=1)

    def choice(self, x: torch.Tensor) -> torch.Tensor:
        """Which tiles are read for x (..., n, features): booleans (..., heads, ⌈n / share⌉, ⌈n / size⌉)."""
        q, k = self._split(self.query(x)), self._split(self.key(x))
        return top_k_tiles(q, k, size=self.size, keep=self.keep, share=self.share)

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: Mask,
        cache: KVCache | None,
    ) -> torch.Tensor:
        """The choice, then attention; ValueError for another mask than `causal`, or a cache."""
        if mask != causal or cache is not None:
            raise ValueError(
                f"mask: expected causal and no cache, since this layer chooses among the whole past; got {mask!r} "
                f"and {'no' if cache is None else 'a'} cache"
            )
        return top_k_attention(
            q, k, v, size=self.size, keep=self.keep, share=self.share
        )
