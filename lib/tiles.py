"""Tile maps: which tiles of a mask are EMPTY, PARTIAL or FULL, without ever building n × n cells.

An attention kernel skips EMPTY tiles, asks the mask about single pairs in PARTIAL ones, and multiplies FULL
ones without a mask (Dao et al. 2022; Dong et al. 2024; Chapter 9). The map is made from the mask's own
rule, read on intervals of positions (`lib.intervals`).

A map is *sound* for every mask: an EMPTY tile holds no allowed pair, a FULL tile no forbidden one. It is
*exact*, so that PARTIAL tiles hold both, for each named mask and for ``causal & m`` where every query may
read itself under m, or m is a prefix. Elsewhere PARTIAL may stand for more: a tile is not EMPTY if two masks
joined by & each allow some pair of it, but no pair in common; not FULL if two masks joined by | allow
all its pairs only together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lib import arguments
from lib.intervals import Interval

if TYPE_CHECKING:
    from lib.masks import Mask

EMPTY, PARTIAL, FULL = 0, 1, 2

# A map is made in two steps: first for blocks of 16 × 16 tiles, then within those that are PARTIAL.
COARSER = 16


@dataclass(frozen=True, eq=False)
class TileMap:
    """The states of the tiles of a mask for `n_q` queries and `n_k` keys.

    `states`: int8 array (tile rows, tile columns) of EMPTY, PARTIAL, FULL, with a batch axis in front if the
    mask has one. Tile (r, c) has query rows r·size … and keys c·size …, up to `size` of each: the last ones
    may be fewer. Query row 0 stands at position n_k − n_q, as in `Mask.dense`.
    """

    states: np.ndarray
    size: int
    n_q: int
    n_k: int

    def show(self) -> str:
        """The map as lines of ■ FULL, ▨ PARTIAL and ⬚ EMPTY, one line per row of tiles."""
        if self.states.ndim > 2:
            raise ValueError(
                f"show: expected a tile map without a batch, got one of {len(self.states)} rows"
            )
        return "\n".join("".join("⬚▨■"[state] for state in row) for row in self.states)


def tile_map(
    mask: "Mask", n_q: int, n_k: int | None = None, size: int = 128
) -> TileMap:
    """The tile map of a mask; ``mask.tiles(n_q, n_k, size)`` is the same.

    Time and memory grow with the number of tiles: 1 MiB for 131,072 tokens and tiles of 128. Raises
    ValueError or TypeError for lengths that do not fit the mask, as `Mask.dense` does, and sizes below 1.
    """
    n_q, n_k = arguments.lengths(n_q, n_k)
    size = arguments.integer("size", size, at_least=1)
    first = mask.first_query(n_q, n_k)
    i, j = _cut(n_q, size, first)[:, None], _cut(n_k, size)[None, :]
    batch = () if mask.batch is None else (mask.batch,)
    states = np.zeros((*batch, i.size, j.size), np.int8)
    if states.size:
        blocks = _states(
            mask,
            _cut(n_q, COARSER * size, first)[:, None],
            _cut(n_k, COARSER * size)[None, :],
        )
        for block_row in range(blocks.shape[-2]):
            strip = slice(COARSER * block_row, COARSER * (block_row + 1))
            row = np.repeat(blocks[..., block_row, :], COARSER, axis=-1)[..., : j.size]
            states[..., strip, :] = row[..., None, :]
            partial = (row == PARTIAL).any(axis=tuple(range(row.ndim - 1)))
            columns = np.flatnonzero(partial)
            if columns.size:
                states[..., strip, columns] = _states(mask, i[strip], j[:, columns])
    return TileMap(states, size, n_q, n_k)


def _cut(n: int, size: int, first: int = 0) -> Interval:
    """The positions first … first + n − 1 in intervals of `size`, the last of which may be shorter."""
    start = np.arange(0, n, size)
    return Interval(first + start, first + np.minimum(start + size, n) - 1)


def _states(mask: "Mask", i: Interval, j: Interval) -> np.ndarray:
    """The state of each tile of the intervals `i`, (R, 1), and `j`, (1, C)."""
    truth = mask.read(i, j)
    states = truth.may.astype(np.int8) + truth.must
    batch = () if mask.batch is None else (mask.batch,)
    return np.broadcast_to(states, (*batch, i.size, j.size))
