"""Models that are small enough to be trained in a chapter, built on `lib.torch_attention`."""

from lib.models.layers import SelfAttention

__all__ = ["SelfAttention"]
