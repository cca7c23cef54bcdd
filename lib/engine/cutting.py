"""Cutting a mask into pieces: which blocks of queries read which keys.

A mask that skips most pairs is cut in one of four ways (Chapter 9):

- a *band* low ≤ i − j ≤ high, such as a sliding window: a block of queries reads one stretch of keys;
- *residues*, i − j a multiple of s: a band among the tokens whose positions agree modulo s;
- a few *diagonals* i − j ∈ {s₁, s₂, …}: each query reads a handful of single keys;
- *tiles*: for any other mask, the tiles that are not EMPTY, gathered.

What a piece is, `lib.engine.pieces` says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import groupby

import numpy as np
import torch

from lib.engine.patterns import patterns_of
from lib.engine.pieces import Diagonals, Layer, Plan, Strided, Tiles
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
    tiles = _by_tiles(mask, n_q, n_k, batch_row, at_once)
    bands = [run for run in whole if _is_band(run)]
    if bands:
        # What lies outside of the bands is tiled; then the bands' ragged ends are in no tile.
        rest = reduce(lambda m, band: m & ~_between(*band), bands, mask)
        beside = _by_tiles(rest, n_q, n_k, batch_row, at_once)
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


@dataclass(frozen=True)
class _OneRow:
    """One row of a mask with a batch, to be read as a mask without one."""

    mask: Mask
    row: int
    batch = None

    def first_query(self, n_q: int, n_k: int) -> int:
        return self.mask.first_query(n_q, n_k)

    def read(self, i, j, b=None):
        return self.mask.read(i, j, self.row)


def _by_tiles(mask, n_q, n_k, batch_row, at_once) -> tuple[Tiles, ...]:
    """Rows of tiles with equally many tiles that hold an allowed pair, together; in each, PARTIAL tiles first."""
    one = mask if batch_row is None else _OneRow(mask, batch_row)
    tiles = tile_map(one, n_q, n_k, TILE)
    states = tiles.states
    if n_k % TILE:  # padding is for no query to read
        states[:, -1] = np.minimum(states[:, -1], PARTIAL)
    patterns, pattern = patterns_of(tiles, mask, batch_row)
    counts = (states != EMPTY).sum(axis=1)
    partial = (states == PARTIAL).sum(axis=1)
    needed = np.nonzero(states)[1]  # row by row; EMPTY is 0
    first = np.cumsum(counts) - counts
    pieces = []
    for count in np.unique(counts[counts > 0]).tolist():
        rows = np.flatnonzero(counts == count)
        rows = rows[np.argsort(partial[rows], kind="stable")]
        columns = needed[first[rows, None] + np.arange(count)]
        is_full = states[rows[:, None], columns] != PARTIAL
        order = np.argsort(is_full, axis=1, kind="stable")
        columns = np.take_along_axis(columns, order, axis=1)
        size = max(at_once // (count * TILE**2), 1)
        for start in range(0, len(rows), size):
            some, read_by = rows[start : start + size], columns[start : start + size]
            asked = pattern[some[:, None], read_by[:, : partial[some[-1]]]]
            pieces.append(Tiles(some, read_by, patterns, asked))
    return tuple(pieces)
