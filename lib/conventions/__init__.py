"""To and from the dialects of other libraries (Chapter 3, "Who means what by True")."""

from lib.conventions.conversions import (
    WINDOWS,
    MaskLike,
    from_additive,
    from_mha,
    from_sdpa,
    to_additive,
    to_mha,
    to_sdpa,
    top_left,
    window_from,
    window_size,
)

__all__ = [
    "WINDOWS",
    "MaskLike",
    "from_additive",
    "from_mha",
    "from_sdpa",
    "to_additive",
    "to_mha",
    "to_sdpa",
    "top_left",
    "window_from",
    "window_size",
]
