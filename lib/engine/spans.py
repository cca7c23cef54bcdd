"""Pieces as `lib/engine/kernel.cpp` wants them: blocks of at most 32 queries, and the spans of keys that each reads.

Arrays of 64-bit numbers, a line for each block and for each span, whose columns are the fields of the C structures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.engine.pieces import Strided, Tiles

QUERIES = 32  # in a block: as many as a word has bits
UNLIMITED = 2**40


@dataclass(frozen=True, eq=False)
class Spans:
    """What the blocks of a layer read.

    `blocks` (B, 4): the first row, the number of queries, the number of the first span and of the one after the last.
    `spans` (S, 5): the first row, the number of keys, the lowest and highest y − x that is allowed, and where the keys
    begin among the words, or −1. `words`: 32 bits each. Rows are `step` apart.
    """

    blocks: np.ndarray
    spans: np.ndarray
    words: np.ndarray
    step: int


@lru_cache(maxsize=32)
def spans_of(layer: tuple[Strided, ...] | tuple[Tiles, ...]) -> Spans:
    """The spans of all pieces of a layer, which are of one kind and have one step between their rows."""
    if isinstance(layer[0], Tiles):
        step, (words, parts) = 1, _of_tiles(layer)
    else:
        step, words, parts = layer[0].step, np.zeros(0, np.int32), _of_bands(layer)
    blocks, spans, found = [], [], 0
    for first, queries, some in parts:
        end = found + np.arange(1, len(some) + 1) * some.shape[1]
        number = np.full_like(end, queries)
        blocks.append(np.stack([first, number, end - some.shape[1], end], axis=1))
        spans.append(some.reshape(-1, 5))
        found += len(spans[-1])
    return Spans(*_in_order(np.concatenate(blocks), np.concatenate(spans)), words, step)


def _in_order(blocks: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The blocks as their queries follow one another, and the spans as the blocks do."""
    blocks = blocks[np.argsort(blocks[:, 0], kind="stable")]
    first, counts = blocks[:, 2].copy(), blocks[:, 3] - blocks[:, 2]
    blocks[:, 3] = np.cumsum(counts)
    blocks[:, 2] = blocks[:, 3] - counts
    moved = np.repeat(first - blocks[:, 2], counts)
    return blocks, spans[np.arange(len(spans)) + moved]


# Of R blocks: their first rows (R,), the number of queries in each, (R,) or one for all, their t spans (R, t, 5).
Part = tuple[np.ndarray, np.ndarray | int, np.ndarray]


def _of_bands(layer: tuple[Strided, ...]) -> Iterator[Part]:
    for piece in layer:
        hops = np.arange(piece.blocks) * piece.hop
        for part in range(0, piece.m, QUERIES):
            queries = min(QUERIES, piece.m - part)
            start = max(part - piece.high, 0)
            stop = min(part + queries - piece.low, piece.c)
            spans = np.empty((piece.blocks, 1, 5), np.int64)
            spans[:, 0, 0] = piece.first_key + start * piece.step + hops
            spans[:, 0, 1] = max(stop - start, 0)
            spans[:, 0, 2:4] = np.array([piece.low, piece.high]) + start - part
            spans[:, 0, 4] = -1
            yield piece.first_query + part * piece.step + hops, queries, spans


def _of_tiles(layer: tuple[Tiles, ...]) -> tuple[np.ndarray, Iterator[Part]]:
    """The words of all patterns, and the parts."""
    tile, patterns = layer[0].tile, layer[0].patterns  # the same for all
    n_parts = -(-tile // QUERIES)
    padded = np.zeros((len(patterns), tile, n_parts * QUERIES), bool)
    padded[..., :tile] = patterns
    words = np.packbits(padded, axis=-1, bitorder="little").view(np.int32)
    words = np.ascontiguousarray(words.transpose(0, 2, 1))  # (number, part, keys)
    # Of each pattern, the keys that somebody reads: from `first` on, so many, and where they stand among the words.
    used = words != 0
    first = used.argmax(axis=-1)
    stop = np.where(used.any(axis=-1), tile - used[..., ::-1].argmax(axis=-1), first)
    place = np.arange(words.size).reshape(words.shape)[..., 0] + first

    starts = np.arange(0, tile, QUERIES)[:, None]  # of the parts of a tile

    def parts() -> Iterator[Part]:
        for piece in layer:
            rows, columns, pattern = piece.rows, piece.columns, piece.pattern
            asked = pattern.shape[1]
            spans = np.empty((n_parts, *columns.shape, 5), np.int64)
            spans[..., 0] = columns * tile
            spans[..., 1:] = tile, -UNLIMITED, UNLIMITED, -1
            spans[:, :, :asked, 0] += first.T[:, pattern]
            spans[:, :, :asked, 1] = (stop - first).T[:, pattern]
            spans[:, :, :asked, 4] = place.T[:, pattern]
            queries = np.minimum(QUERIES, tile - starts).repeat(len(rows))
            blocks = spans.reshape(-1, *spans.shape[2:])
            yield (rows * tile + starts).ravel(), queries, blocks

    return words.ravel(), parts()
