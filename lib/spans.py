"""Pieces as `lib/kernel.cpp` wants them: blocks of at most 32 queries, and the spans of keys that each reads.

Arrays of 64-bit numbers, a line for each block and for each span, whose columns are the fields of the C structures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from lib import pieces
from lib.pieces import Strided, Tiles

QUERIES = 32  # as in kernel.cpp
UNLIMITED = 2**40


@dataclass(frozen=True, eq=False)
class Spans:
    """What the blocks of a layer read.

    `tensors`: the blocks (B, 4), each with its first row, its number of queries, the number of its first span and
    of the one after its last; the spans (S, 5), each with its first row, its number of keys, the lowest and highest
    y − x that is allowed, and where its keys begin among the words, or −1; and the words, of 32 bits each. Rows are
    `step` apart.
    """

    tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    step: int


@lru_cache(maxsize=32)
def spans_of(layer: tuple[Strided, ...] | tuple[Tiles, ...]) -> Spans:
    """The spans of all pieces of a layer, which are of one kind and have one step between their rows."""
    if isinstance(layer[0], Tiles):
        step, (words, parts) = 1, _of_tiles(layer)
    else:
        step, words, parts = layer[0].step, np.zeros(0, np.int32), _of_bands(layer)
    blocks, spans, found = [], [], 0
    for first, queries, keys in parts:
        end = found + np.arange(1, len(keys) + 1) * keys.shape[1]
        number = np.full_like(end, queries)
        blocks.append(np.stack([first, number, end - keys.shape[1], end], axis=1))
        spans.append(keys.reshape(-1, 5))
        found += len(spans[-1])
    arrays = np.concatenate(blocks), np.concatenate(spans), words
    return Spans(tuple(torch.from_numpy(x) for x in arrays), step)


# Of R blocks: their first rows (R,), the number of queries in each, and t spans for each (R, t, 5).
Part = tuple[np.ndarray, int, np.ndarray]


def _of_bands(layer: Iterable[Strided]) -> Iterator[Part]:
    for piece in layer:
        hops = np.arange(piece.blocks) * piece.hop
        for part in range(0, piece.m, QUERIES):
            queries = min(QUERIES, piece.m - part)
            start = max(part - piece.high, 0)
            stop = min(part + queries - piece.low, piece.c)
            later = start - part
            keys = np.empty((piece.blocks, 1, 5), np.int64)
            keys[..., 0] = (piece.first_key + start * piece.step + hops)[:, None]
            keys[..., 1:] = (
                max(stop - start, 0),
                piece.low + later,
                piece.high + later,
                -1,
            )
            yield piece.first_query + part * piece.step + hops, queries, keys


def _of_tiles(layer: list[Tiles]) -> tuple[np.ndarray, Iterator[Part]]:
    tile = pieces.TILE
    n_parts = -(-tile // QUERIES)
    patterns = layer[0].patterns.numpy()  # (number, keys, queries), the same for all
    padded = np.zeros((len(patterns), tile, n_parts * QUERIES), bool)
    padded[..., :tile] = patterns
    words = np.packbits(padded, axis=-1, bitorder="little").view(np.int32)
    words = words.transpose(0, 2, 1)  # (number, part, keys)
    used = words != 0
    first = used.argmax(axis=-1)
    stop = np.where(used.any(axis=-1), tile - used[..., ::-1].argmax(axis=-1), first)
    table = np.arange(words.size).reshape(words.shape)[..., 0] + first

    def parts():
        for piece in layer:
            rows, columns, pattern = (
                x.numpy() for x in (piece.rows, piece.columns, piece.pattern)
            )
            asked = pattern.shape[1]
            for part in range(n_parts):
                keys = np.empty((*columns.shape, 5), np.int64)
                keys[..., 0] = columns * tile
                keys[..., 1:] = tile, -UNLIMITED, UNLIMITED, -1
                keys[:, :asked, 0] += first[pattern, part]
                keys[:, :asked, 1] = (stop - first)[pattern, part]
                keys[:, :asked, 4] = table[pattern, part]
                queries = min(QUERIES, tile - part * QUERIES)
                yield rows * tile + part * QUERIES, queries, keys

    return np.ascontiguousarray(words).ravel(), parts()
