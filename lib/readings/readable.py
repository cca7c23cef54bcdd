"""What a tile map, or a reading along the diagonals, needs to know of a mask; `lib.masks.Mask` has all of it."""

from typing import Any, Protocol


class Readable(Protocol):
    """A rule over positions that can be read with anything in place of queries i and keys j."""

    batch: int | None

    def first_query(self, n_q: int, n_k: int) -> int:
        """The position of query row 0 when `n_q` queries meet `n_k` keys."""
        ...

    def read(self, i: Any, j: Any, b: Any = None) -> Any:
        """May query `i` read key `j`, in row `b` of the batch, or, without `b`, in all of them?"""
        ...
