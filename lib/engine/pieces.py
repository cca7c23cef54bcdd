"""Pieces of attention: queries and keys that a few batched matrix products can serve.

`lib.engine.cutting` cuts a mask into them. In a piece, each of R blocks has m queries and c keys. Its scores are kept
as (R, c, m), keys first, so that sums and maxima over the keys run along whole rows of memory. `lib.engine.batched`
computes with them, and `lib.engine.spans` reads from them what the compiled loops want.

The tensors that a piece is given belong to one head: queries (n_q, d), keys and values (n_k, d).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

# What to add to the scores: tensors of 0 and −∞, each with the keys of a block it is for.
Bias = list[tuple[slice, torch.Tensor]]


class Blocks:
    """A piece of R blocks with m queries and c keys each, computed by batched matrix products."""

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """The rows (R, m, d) of the piece's queries in x (n_q, d)."""
        raise NotImplementedError

    def keys(self, x: torch.Tensor) -> torch.Tensor:
        """The rows (R, c, d) of the piece's keys in x (n_k, d)."""
        raise NotImplementedError

    def add_keys(self, x: torch.Tensor, values: torch.Tensor) -> None:
        """Add values (R, c, d) to the rows of the keys in x; a key may occur in several blocks."""
        raise NotImplementedError

    def store(self, x: torch.Tensor, values: torch.Tensor) -> None:
        """Write values (R, m, d) to the rows of the queries in x."""
        self.queries(x).copy_(values)

    def products(self, queries: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Of each key's row of x with each query (R, m, d): (R, c, m)."""
        return self.keys(x) @ queries.mT

    def mix(self, weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Sums over the keys of weight (R, c, m) times the key's row of x: (R, m, d)."""
        return weights.mT @ self.keys(x)

    def add_mix(self, x: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor):
        """Add to each key's row of x its sum over the queries (R, m, d), times the weights (R, c, m)."""
        self.add_keys(x, weights @ queries)


@dataclass(frozen=True)
class Strided(Blocks):
    """Blocks at regular distances: of a band, or of one band in several residue classes.

    Query y of block r stands in row `first_query` + r · `hop` + y · `step`, key x in row `first_key` +
    r · `hop` + x · `step`. Query y may read key x where `low` ≤ y − x ≤ `high`.
    """

    blocks: int
    hop: int
    step: int
    first_query: int
    m: int
    first_key: int
    c: int
    low: int
    high: int

    @property
    def served(self) -> int:
        return self.blocks * self.m

    def queries(self, x):
        return self._rows(x, self.first_query, self.m)

    def keys(self, x):
        return self._rows(x, self.first_key, self.c)

    def bias(self, like: torch.Tensor) -> Bias:
        too_early = max(self.m - 1 - self.high, 0)  # x < too_early, for the last query
        too_late = max(1 - self.low, 0)  # x ≥ too_late, for the first query
        ends = (0, min(too_early, self.c)), (too_late, self.c)
        return [
            (slice(*end), self._outside(end, like)) for end in ends if end[0] < end[1]
        ]

    def _outside(self, keys: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
        """(keys, m): −∞ for key x and query y unless low ≤ y − x ≤ high, else 0."""
        y = torch.arange(self.m, device=like.device)
        difference = y - torch.arange(*keys, device=like.device)[:, None]
        outside = (difference < self.low) | (difference > self.high)
        return _minus_infinity(outside, like.dtype)

    def add_keys(self, x, values):
        # Blocks that overlap are added one stretch at a time.
        overlapping = self.blocks > 1 and self.step == 1
        stretch = self.hop if overlapping else self.c
        for start in range(0, self.c, stretch):
            part = values[:, start : start + stretch]
            self._rows(x, self.first_key + start * self.step, part.shape[1]).add_(part)

    def _rows(self, x, first, count):
        row, feature = x.stride()
        return x.as_strided(
            (self.blocks, count, x.shape[1]),
            (self.hop * row, self.step * row, feature),
            x.storage_offset() + first * row,
        )


def _minus_infinity(where: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros_like(where, dtype=dtype).masked_fill_(where, -math.inf)


@dataclass(frozen=True, eq=False)
class Tiles(Blocks):
    """R rows of tiles that read t tiles each, gathered.

    `rows`: (R,), which rows of tiles; `columns`: (R, t), which tiles each reads. Tile x of the first few of row
    r has the pairs `patterns[pattern[r, x]]`, (keys, queries), all others are full. Lengths are padded to whole
    tiles.

    All are arrays of NumPy: plans are kept, and a tensor made while a program is traced means nothing afterwards.
    """

    rows: np.ndarray
    columns: np.ndarray
    patterns: np.ndarray
    pattern: np.ndarray

    @property
    def tile(self) -> int:
        """The number of queries, and of keys, of a tile."""
        return self.patterns.shape[-1]

    @property
    def served(self) -> int:
        return len(self.rows) * self.tile

    def queries(self, x):
        tiles = self._tiles(x).index_select(0, _like(self.rows, x))
        return tiles.unflatten(1, (self.tile, -1))

    def keys(self, x):
        tiles = self._tiles(x).index_select(0, _like(self.columns, x).flatten())
        return tiles.view(len(self.rows), -1, x.shape[1])

    def bias(self, like: torch.Tensor) -> Bias:
        asked = _like(self.patterns, like)[_like(self.pattern, like)]
        forbidden = ~asked.flatten(1, 2)
        return [(slice(0, forbidden.shape[1]), _minus_infinity(forbidden, like.dtype))]

    def store(self, x, values):
        self._tiles(x).index_copy_(0, _like(self.rows, x), values.flatten(1))

    def add_keys(self, x, values):
        tiles = values.reshape(self.columns.size, -1)
        self._tiles(x).index_add_(0, _like(self.columns, x).flatten(), tiles)

    def _tiles(self, x):
        return x.view(len(x) // self.tile, -1)


def _like(array: np.ndarray, x: torch.Tensor) -> torch.Tensor:
    """As a tensor on the device of x."""
    return torch.from_numpy(array).to(x.device)


@dataclass(frozen=True)
class Diagonals:
    """Queries in rows `first` … `last` − 1 that read the keys at a few `distances` before them.

    One block; its c keys are the distances, and a product is one dot product for each query. Query row 0
    stands at position `shift`.
    """

    first: int
    last: int
    shift: int
    distances: tuple[int, ...]
    n_k: int

    @property
    def served(self) -> int:
        return self.last - self.first

    def queries(self, x):
        return x[None, self.first : self.last]

    def store(self, x, values):
        x[self.first : self.last] = values[0]

    def bias(self, like: torch.Tensor) -> Bias:
        shape = 1, len(self.distances), self.served
        outside = torch.ones(shape, dtype=torch.bool, device=like.device)
        found = 0
        for y, c, _ in self._pairs():
            outside[:, c, y] = False
            found += y.stop - y.start
        if found == outside.numel():
            return []
        return [(slice(None), _minus_infinity(outside, like.dtype))]

    def products(self, queries, x):
        result = queries.new_zeros(1, len(self.distances), self.served)
        for y, c, keys in self._pairs():
            torch.sum(queries[0, y] * x[keys], -1, out=result[0, c, y])
        return result

    def mix(self, weights, x):
        result = weights.new_zeros(1, self.served, x.shape[1])
        for y, c, keys in self._pairs():
            result[0, y].addcmul_(weights[0, c, y, None], x[keys])
        return result

    def add_mix(self, x, weights, queries):
        for y, c, keys in self._pairs():
            x[keys].addcmul_(weights[0, c, y, None], queries[0, y])

    def _pairs(self) -> Iterator[tuple[slice, int, slice]]:
        """For distance number c: the queries that find a key there, and those keys."""
        for c, distance in enumerate(self.distances):
            start = self.first + self.shift - distance
            first, last = max(start, 0), min(start + self.served, self.n_k)
            if first < last:
                yield slice(first - start, last - start), c, slice(first, last)


Piece = Strided | Diagonals | Tiles
# Pieces of one kind, of which each query has one at most.
Layer = tuple[Strided, ...] | tuple[Diagonals, ...] | tuple[Tiles, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """How a mask is computed for `n_q` queries: layers of pieces; in one layer each query has one piece at most.

    `tile`: lengths must be padded to a multiple of this.
    """

    layers: list[Layer]
    n_q: int
    tile: int = 1

    @property
    def complete(self) -> bool:
        """Does the first layer serve every query, those of the padding too?"""
        served = sum(piece.served for layer in self.layers[:1] for piece in layer)
        return served >= self.n_q + -self.n_q % self.tile
