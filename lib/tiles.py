"""Tile maps: which tiles of a mask are EMPTY, PARTIAL or FULL, without ever building n × n cells.

An attention kernel skips EMPTY tiles, asks the mask about single pairs in PARTIAL ones, and multiplies FULL
ones without a mask (Dao et al. 2022; Dong et al. 2024; Chapter 9). The map is made from the mask's own
rule, read on intervals of positions (`lib.readings.intervals`).

A map is *sound* for every mask: an EMPTY tile holds no allowed pair, a FULL tile no forbidden one. It is
*exact*, so that PARTIAL tiles hold both, for each named mask and for ``causal & m`` where every query may
read itself under m, or m is a prefix. Elsewhere PARTIAL may stand for more: a tile is not EMPTY if two masks
joined by & each allow some pair of it, but no pair in common; not FULL if two masks joined by | allow
all its pairs only together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.readings import arguments
from lib.readings.intervals import Interval
from lib.readings.readable import Readable

EMPTY, PARTIAL, FULL = 0, 1, 2

# How many pairs of a PARTIAL tile, or of many, are asked about at once: some megabytes.
PAIRS = 2**19

# A map is made in two steps: first for blocks of 64 × 64 tiles, then within those that are PARTIAL. Smaller
# blocks take more steps, larger ones look at more tiles in vain.
COARSER = 64


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

    def count(self, state: int) -> int:
        """How many tiles are in that state: EMPTY, PARTIAL or FULL."""
        return int(np.count_nonzero(self.states == state))

    @property
    def queries(self) -> Interval:
        """The positions of the queries of each row of tiles, (tile rows,)."""
        return _cut(self.n_q, self.size, max(self.n_k - self.n_q, 0))

    @property
    def keys(self) -> Interval:
        """The positions of the keys of each column of tiles, (tile columns,)."""
        return _cut(self.n_k, self.size)

    def show(self) -> str:
        """The map as lines of ■ FULL, ▨ PARTIAL and ⬚ EMPTY, one line per row of tiles."""
        if self.states.ndim > 2:
            raise ValueError(
                f"show: expected a tile map without a batch, got one of {len(self.states)} rows; give one row, "
                f"TileMap(tiles.states[b], tiles.size, tiles.n_q, tiles.n_k)"
            )
        return "\n".join("".join("⬚▨■"[state] for state in row) for row in self.states)


def tile_map(
    mask: Readable, n_q: int, n_k: int | None = None, size: int = 128
) -> TileMap:
    """The tile map of a mask; ``mask.tiles(n_q, n_k, size)`` is the same.

    Time and memory grow with the number of tiles: 1 MiB for 131,072 tokens and tiles of 128. Raises
    ValueError or TypeError for lengths that do not fit the mask, as `Mask.dense` does, and sizes below 1.
    """
    _check_mask("mask", mask)
    n_q, n_k = arguments.lengths(n_q, n_k)
    size = arguments.integer("size", size, at_least=1)
    first = mask.first_query(n_q, n_k)
    i, j = _cut(n_q, size, first)[:, None], _cut(n_k, size)[None, :]
    batch = () if mask.batch is None else (mask.batch,)
    states = np.zeros((*batch, i.size, j.size), np.int8)
    blocks = _states(
        mask,
        _cut(n_q, COARSER * size, first)[:, None],
        _cut(n_k, COARSER * size)[None, :],
    )
    for strip_number in range(blocks.shape[-2]):
        # So many rows of tiles: they take the state of their block, then the PARTIAL ones their own.
        strip = slice(COARSER * strip_number, COARSER * (strip_number + 1))
        row = np.repeat(blocks[..., strip_number, :], COARSER, axis=-1)[..., : j.size]
        states[..., strip, :] = row[..., None, :]
        partial = (row == PARTIAL).any(axis=tuple(range(row.ndim - 1)))
        columns = np.flatnonzero(partial)
        states[..., strip, columns] = _states(mask, i[strip], j[:, columns])
    return TileMap(states, size, n_q, n_k)


def n_pairs(mask: Readable, n_q: int, n_k: int | None = None) -> int | np.ndarray:
    """How many pairs the mask allows, exactly; for a batch of masks one number each, int64 of shape (batch,).

    FULL tiles count by their area; only in PARTIAL ones each pair is asked about (Chapter 7).
    """
    tiles = tile_map(mask, n_q, n_k, size=64)
    i, j = tiles.queries, tiles.keys
    full = tiles.states == FULL
    count = np.einsum("...rc,r,c", full, i.hi - i.lo + 1, j.hi - j.lo + 1)
    for rows, columns in _partial_tiles(tiles):
        in_tile = _allowed(mask, i[rows], j[columns], tiles.size).sum(axis=(-2, -1))
        here = tiles.states[..., rows, columns] == PARTIAL
        count = count + (in_tile * here).sum(axis=-1)
    return int(count) if mask.batch is None else count


def density(mask: Readable, n_q: int, n_k: int | None = None) -> float | np.ndarray:
    """The share of the n_q · n_k pairs that the mask allows, between 0 and 1; 0 where there is no pair."""
    n_q, n_k = arguments.lengths(n_q, n_k)
    return n_pairs(mask, n_q, n_k) / max(n_q * n_k, 1)


def receptive_field(
    masks: Iterable[Readable], i: int, n: int | None = None
) -> np.ndarray:
    """The input positions that can reach output `i` through layers with these masks, the first layer first.

    Each layer has a residual connection, so a position reaches itself: the result holds the columns of
    row `i` of (M_L ∨ I) ··· (M_1 ∨ I) that are not 0, sorted, int64. `n` is the number of tokens; without it
    `i` is the last one (Chapter 7, "Receptive fields").
    """
    i = arguments.integer("i", i, at_least=0)
    n = i + 1 if n is None else arguments.integer("n", n, at_least=i + 1)
    if hasattr(masks, "first_query"):
        raise TypeError(
            f"masks: expected a list of masks, one for each layer; for one layer give [{masks!r}]"
        )
    if not isinstance(masks, Iterable):
        raise TypeError(
            f"masks: expected a list of masks, one for each layer; got {masks!r}"
        )
    masks = list(masks)
    for mask in masks:
        _check_mask("masks", mask)
        if mask.batch is not None:
            raise ValueError(
                f"masks: expected masks without a batch, got one of {mask.batch} rows: {mask!r}"
            )
    maps = {mask: tile_map(mask, n) for mask in masks}
    reached = np.zeros(n, bool)
    reached[i] = True
    for mask in reversed(masks):
        reached = reached | _read_by(reached, mask, maps[mask])
    return np.flatnonzero(reached)


def _read_by(queries: np.ndarray, mask: Readable, tiles: TileMap) -> np.ndarray:
    """The keys that at least one of the `queries` may read; both are boolean arrays (n,).

    Pairs are asked about only in PARTIAL tiles whose keys are not all found yet.
    """
    some = np.logical_or.reduceat(queries, tiles.queries.lo)
    in_full = (tiles.states[some] == FULL).any(axis=0)
    found = np.repeat(in_full, tiles.size)[: tiles.n_k]
    is_open = ~in_full
    for row in np.flatnonzero(some):
        partial = (tiles.states[row] == PARTIAL) & is_open
        if partial.any():
            span = slice(tiles.queries.lo[row], tiles.queries.hi[row] + 1)
            i = np.flatnonzero(queries[span]) + span.start
            wanted = np.repeat(partial, tiles.size)[: tiles.n_k] & ~found
            for j in _batches(np.flatnonzero(wanted), PAIRS // i.size):
                found[j] = mask.read(i[:, None], j[None, :]).any(axis=0)
            is_open = ~np.logical_and.reduceat(found, tiles.keys.lo)
    return found


def _partial_tiles(tiles: TileMap) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the PARTIAL tiles, as many at a time as hold `PAIRS` pairs.

    Of a batch, the tiles that are PARTIAL for some row of it.
    """
    partial = (tiles.states == PARTIAL).any(axis=tuple(range(tiles.states.ndim - 2)))
    at_once = max(PAIRS // tiles.size**2, 1)
    for flat in _batches(np.flatnonzero(partial), at_once):
        yield np.divmod(flat, partial.shape[1])


def _batches(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _allowed(mask: Readable, i: Interval, j: Interval, size: int) -> np.ndarray:
    """The pairs of tiles t with queries i[t] and keys j[t]: (…, tiles, size, size), False beyond a short one."""
    within = np.arange(size)
    rows, columns = i.lo[:, None, None] + within[:, None], j.lo[:, None, None] + within
    last_row, last_column = i.hi[:, None, None], j.hi[:, None, None]
    inside = (rows <= last_row) & (columns <= last_column)
    return inside & mask.read(
        np.minimum(rows, last_row), np.minimum(columns, last_column)
    )


def _check_mask(name: str, mask: Any) -> None:
    if isinstance(mask, type) or not hasattr(mask, "first_query"):
        advice = "to use a boolean array, make it a mask: explicit(array)"
        raise TypeError(
            f"{name}: expected a mask, got {type(mask).__name__}; {arguments.mask_advice(mask, advice)}"
        )


def _cut(n: int, size: int, first: int = 0) -> Interval:
    """The positions first … first + n − 1 in intervals of `size`, the last of which may be shorter."""
    start = np.arange(0, n, size)
    return Interval(first + start, first + np.minimum(start + size, n) - 1)


def _states(mask: Readable, i: Interval, j: Interval) -> np.ndarray:
    """The state of each tile of the intervals `i`, (R, 1), and `j`, (1, C)."""
    truth = mask.read(i, j)
    states = truth.may.astype(np.int8) + truth.must
    batch = () if mask.batch is None else (mask.batch,)
    return np.broadcast_to(states, (*batch, i.size, j.size))
