"""Cutting attention into pieces: queries and keys that a few batched matrix products can serve.

A mask that skips most pairs is cut in one of four ways (Chapter 9):

- a *band* low ≤ i − j ≤ high, such as a sliding window: a block of queries reads one stretch of keys;
- *residues*, i − j a multiple of s: a band among the tokens whose positions agree modulo s;
- a few *diagonals* i − j ∈ {s₁, s₂, …}: each query reads a handful of single keys;
- *tiles*: for any other mask, the tiles that are not EMPTY, gathered.

In a piece, each of R blocks has m queries and c keys. Its scores are kept as (R, c, m), keys first, so that
sums and maxima over the keys run along whole rows of memory. `lib.engine.batched` computes with them, and
`lib.engine.spans` reads from them what the compiled loops want.

The tensors that a piece is given belong to one head: queries (n_q, d), keys and values (n_k, d).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import groupby

import numpy as np
import torch

from lib.masks import Mask
from lib.readings.diagonals import along_diagonals, runs
from lib.tiles import EMPTY, PARTIAL, tile_map

# Queries in a block of a band: fewer compute fewer forbidden pairs, more make a product faster. Blocks at the
# ends of the sequence, which are computed one by one, are larger.
BLOCK, END_BLOCK, ALIGNED = 32, 128, 32
TILE = 64
# A shorter run of differences is not worth a matrix product; more diagonals are not worth their copies.
SHORTEST_BAND, MOST_DIAGONALS = 16, 64
# Queries of diagonals that are computed at a time, at least.
SHORTEST_DIAGONAL = 1024
# About as many scores as a core's cache holds; a GPU wants more of them at once.
SCORES_AT_ONCE = {"cpu": 2**19, "cuda": 2**26}

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
    def served(self) -> int:
        return len(self.rows) * TILE

    def queries(self, x):
        tiles = self._tiles(x).index_select(0, _like(self.rows, x))
        return tiles.unflatten(1, (TILE, -1))

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
        return x.view(len(x) // TILE, -1)


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


@lru_cache(maxsize=16)
def plan(
    mask: Mask, n_q: int, n_k: int, batch_row: int | None, device: torch.device
) -> Plan:
    """The pieces of a mask, of one row of its batch, for `n_q` queries that are the last of `n_k` positions."""
    at_once = SCORES_AT_ONCE.get(device.type, SCORES_AT_ONCE["cuda"])
    shape = n_q, n_k, mask.first_query(n_q, n_k)
    differences, allowed = along_diagonals(mask, n_q, n_k, batch_row)
    whole = [(int(differences[a]), int(differences[b])) for a, b in runs(allowed.must)]
    if not (allowed.may & ~allowed.must).any():
        layers = _by_difference(whole, *shape, at_once)
        if layers is not None:
            return Plan(layers, n_q)
    tiles = _by_tiles(mask, *shape, batch_row, at_once)
    bands = [run for run in whole if _is_band(run)]
    if bands:
        # What lies outside of the bands is tiled; then the bands' ragged ends are in no tile.
        rest = reduce(lambda m, band: m & ~_between(*band), bands, mask)
        beside = _by_tiles(rest, *shape, batch_row, at_once)
        pairs_saved = TILE**2 * (_tiles_of(tiles) - _tiles_of(beside))
        if pairs_saved > sum(n_q * (BLOCK + high - low) for low, high in bands):
            layers = [tuple(_band(*band, *shape, at_once)) for band in bands]
            return Plan([*layers, beside], n_q, TILE)
    return Plan([tiles], n_q, TILE)


def _is_band(run: tuple[int, int]) -> bool:
    return run[1] - run[0] >= SHORTEST_BAND - 1


def _between(low: int, high: int) -> Mask:
    return Mask(lambda i, j: (low <= i - j) & (i - j <= high))


def _tiles_of(pieces: tuple[Tiles, ...]) -> int:
    return sum(piece.columns.size for piece in pieces)


def _by_difference(found, n_q, n_k, shift, at_once) -> list[Layer] | None:
    """A layer for each long run of allowed differences, each progression, and what is left; None if too much is."""
    bands = [run for run in found if _is_band(run)]
    single = [s for run in found if run not in bands for s in range(run[0], run[1] + 1)]
    layers = [tuple(_band(*band, n_q, n_k, shift, at_once)) for band in bands]
    progressions = _progressions(single) if n_q == n_k else []
    for stride, first, last in progressions:
        single = [s for s in single if s not in range(first, last + 1, stride)]
        band = first // stride, last // stride
        layers.append(tuple(_residues(stride, *band, n_q, at_once)))
    if len(single) > MOST_DIAGONALS:
        return None
    if single:
        size = max(at_once // (16 * len(single)), SHORTEST_DIAGONAL)
        layers.append(
            tuple(
                Diagonals(first, min(first + size, n_q), shift, tuple(single), n_k)
                for first in range(0, n_q, size)
            )
        )
    return layers


def _progressions(numbers: list[int]) -> list[tuple[int, int, int]]:
    """Runs a, a + s, …, b of at least SHORTEST_BAND numbers with s | a, as (s, a, b); numbers ascend.

    No number is in two of them: a key that two layers serve would count twice.
    """
    gaps = zip(np.diff(numbers).tolist(), numbers, numbers[1:], strict=False)
    taken = None
    for stride, members in groupby(gaps, key=lambda gap: gap[0]):
        steps = list(members)
        first, last = steps[0][1], steps[-1][2]
        if first == taken:
            first += stride
        if last - first >= (SHORTEST_BAND - 1) * stride and first % stride == 0:
            taken = last
            yield stride, first, last


def _band(low, high, n_q, n_k, shift, at_once) -> Iterator[Strided]:
    """low ≤ i − j ≤ high: blocks whose keys all exist many at a time, those at the ends one by one."""
    # A round number of keys suits the processor; the few too many, before all others, are forbidden.
    width = -(-(BLOCK + high - low) // ALIGNED) * ALIGNED
    before = width - BLOCK + low  # how far the first key stands before a block
    row = 0
    while row < n_q:
        position = row + shift
        inner = (min(n_q, n_k + low - shift) - row) // BLOCK
        if inner > 0 and position >= before:
            blocks = min(inner, max(at_once // (BLOCK * width), 1))
            yield Strided(
                blocks, BLOCK, 1, row, BLOCK, position - before, width,
                low - before, high - before,
            )  # fmt: skip
            row += blocks * BLOCK
            continue
        m = min(END_BLOCK, n_q - row, max(before - position, 0) or END_BLOCK)
        start, stop = max(position - high, 0), min(position + m - low, n_k)
        if start < stop:
            back = position - start
            yield Strided(1, m, 1, row, m, start, stop - start, low - back, high - back)
        row += m


def _residues(stride, low, high, n, at_once) -> Iterator[Strided]:
    """i − j = stride · t for low ≤ t ≤ high: tokens i = stride · i′ + r of one class r read low ≤ i′ − j′ ≤ high.

    The first n mod stride classes have one token more than the others.
    """
    longer = n % stride
    for first, last, tokens in (
        (0, longer, n // stride + 1),
        (longer, min(stride, n), n // stride),
    ):
        for start in range(0, tokens, BLOCK):
            m = min(BLOCK, tokens - start)
            first_key, last_key = max(start - high, 0), min(start + m - low, tokens)
            c, back = last_key - first_key, start - first_key
            size = max(at_once // (m * max(c, 1)), 1)
            for r in range(first, last, size) if c > 0 else ():
                yield Strided(
                    min(size, last - r), 1, stride, r + start * stride, m,
                    r + first_key * stride, c, low - back, high - back,
                )  # fmt: skip


def _by_tiles(mask, n_q, n_k, shift, batch_row, at_once) -> tuple[Tiles, ...]:
    """Rows of tiles with equally many tiles that hold an allowed pair, together; in each, PARTIAL tiles first."""
    states = tile_map(mask, n_q, n_k, TILE).states
    states = (states if batch_row is None else states[batch_row]).copy()
    if n_k % TILE:  # padding is for no query to read
        states[:, -1] = np.minimum(states[:, -1], PARTIAL)
    patterns, pattern = _patterns(states, mask, n_q, n_k, shift, batch_row)
    counts = (states != EMPTY).sum(axis=1)
    partial = (states == PARTIAL).sum(axis=1)
    pieces = []
    for count in np.unique(counts[counts > 0]).tolist():
        rows = np.flatnonzero(counts == count)
        rows = rows[np.argsort(partial[rows], kind="stable")]
        size = max(at_once // (count * TILE**2), 1)
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            # PARTIAL is 1, FULL 2 and EMPTY 0: sorted by (state − 1) mod 3, the first `count` are wanted.
            order = np.argsort((states[some] - 1) % 3, axis=1, kind="stable")
            columns = order[:, :count].copy()
            asked = columns[:, : partial[some].max()]
            pieces.append(Tiles(some, columns, patterns, pattern[some[:, None], asked]))
    return tuple(pieces)


def _patterns(
    states, mask, n_q, n_k, shift, batch_row
) -> tuple[np.ndarray, np.ndarray]:
    """What the mask says of each pair of the PARTIAL tiles, each different answer once.

    Patterns (number, keys, queries), of which pattern 0 allows everything, and the number of each tile's. A
    tile that turns out to hold no allowed pair becomes EMPTY in `states`.
    """
    numbers = {np.ones((TILE, TILE), bool).tobytes(): 0}
    pattern = np.zeros(states.shape, np.int64)
    within = np.arange(TILE)
    for row, column in np.argwhere(states == PARTIAL).tolist():
        # Tiles at the end may reach beyond the last token, where the mask has nothing to say.
        i = np.minimum(row * TILE + within, n_q - 1)[None, :] + shift
        j = (column * TILE + within)[:, None]
        answer = mask.read(i, np.minimum(j, n_k - 1), batch_row) & (j < n_k)
        if answer.any():
            answer = np.broadcast_to(answer, (TILE, TILE)).tobytes()
            pattern[row, column] = numbers.setdefault(answer, len(numbers))
        else:
            states[row, column] = EMPTY
    patterns = np.frombuffer(b"".join(numbers), bool)
    return patterns.reshape(-1, TILE, TILE).copy(), pattern
