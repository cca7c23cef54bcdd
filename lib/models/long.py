"""A layer for long texts, and the masks of a stack of them (Chapter 9, "Take it with you")."""

import torch
from torch import nn

from lib.decoding import KVCache
from lib.masks import Mask, causal, coarse, every, sink, window
from lib.models.layers import SelfAttention
from lib.readings import arguments
from lib.torch_attention import attention


class LongAttention(SelfAttention):
    """`SelfAttention` whose heads share keys and values, with a back end of choice.

    `kv_heads` must divide `heads`, else ValueError; by default each head has its own (Ainslie et al. 2023). `backend`
    is that of `lib.torch_attention.attention`; `choose_backend(mask, n)` says what "auto" takes, and why.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        mask: Mask = causal,
        kv_heads: int | None = None,
        backend: str = "auto",
    ):
        super().__init__(features, heads, mask)
        kv_heads = heads if kv_heads is None else kv_heads
        self.kv_heads = arguments.integer("kv_heads", kv_heads, at_least=1)
        if heads % self.kv_heads:
            raise ValueError(
                f"kv_heads: expected a divisor of the {heads} heads, which share them evenly; got {kv_heads}"
            )
        self.backend = backend
        shared = features // heads * self.kv_heads
        self.key, self.value = (
            nn.Linear(features, shared, bias=False) for _ in range(2)
        )

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: Mask,
        cache: KVCache | None,
    ) -> torch.Tensor:
        """q (..., heads, tokens, size), k and v (..., kv_heads, tokens, size)."""
        options = {"backend": self.backend, "enable_gqa": True}
        if cache is None:
            return attention(q, k, v, mask, **options)
        return cache.attend(q, k, v, **options)


def long_stack(block: int = 128) -> list[Mask]:
    """Masks of three layers, the first first, after which a token has heard of its whole past, however long that is.

    In blocks of `block` tokens, the first layer reads the last 8; the second every 8th of the last 64; the third every
    64th, and the first. Both read the last two besides (Chapter 9, "A text of 131,072 tokens").
    """
    two = window(2)
    near = two | every(8, 7) & window(64)
    far = two | sink(1) | every(64, 63)
    return [causal & coarse(layout, block) for layout in (window(8), near, far)]
