"""To and from the dialects of other libraries (Chapter 3, "Who means what by True")."""

from lib.conventions.conversions import (
    MaskLike,
    from_additive,
    from_mha,
    from_sdpa,
    to_additive,
    to_mha,
    to_sdpa,
    top_left,
)
from lib.conventions.packing import (
    from_attention_mask,
    from_cu_seqlens,
    from_key_padding_mask,
    from_position_ids,
    from_segment_ids,
)
from lib.conventions.windows import WINDOWS, window_from, window_size

__all__ = [
    "WINDOWS",
    "MaskLike",
    "from_additive",
    "from_attention_mask",
    "from_cu_seqlens",
    "from_key_padding_mask",
    "from_mha",
    "from_position_ids",
    "from_sdpa",
    "from_segment_ids",
    "to_additive",
    "to_mha",
    "to_sdpa",
    "top_left",
    "window_from",
    "window_size",
]
