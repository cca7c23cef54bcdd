"""What a mask says of each pair of the tiles that it neither allows nor forbids as a whole.

Most tiles say what another one has said, and are not asked: in a tile, few of a mask's parts leave anything open, and
where these speak of i − j alone, all tiles along a diagonal are alike.
"""

from collections.abc import Iterator

import numpy as np

from lib.masks import And, Mask, Or
from lib.readings.diagonals import along_diagonals
from lib.readings.intervals import Interval, Truth
from lib.tiles import EMPTY, PAIRS, PARTIAL, TileMap


def patterns_of(
    tiles: TileMap, mask: Mask, batch_row: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The patterns of the PARTIAL tiles, each different one once, and the number of each tile's.

    Patterns (number, keys, queries), of which pattern 0 allows everything; numbers (tile rows, tile columns). A tile
    that turns out to hold no allowed pair becomes EMPTY in `tiles`. Of a mask with a batch, its row `batch_row`.
    """
    size = tiles.size
    numbers = {np.ones((size, size), bool).tobytes(): 0}
    pattern = np.zeros(tiles.states.shape, np.int64)
    rows, columns = np.nonzero(tiles.states == PARTIAL)
    i, j = tiles.queries[rows], tiles.keys[columns]
    of_tile = np.zeros(len(rows), np.int64)
    for rest, some in _left_open(mask, i, j, batch_row):
        speaker = some[_speakers(rest, i[some], j[some], tiles, batch_row)]
        asked = np.unique(speaker)
        for start in range(0, len(asked), max(PAIRS // size**2, 1)):
            few = asked[start : start + max(PAIRS // size**2, 1)]
            answers = _answers(rest, i[few], j[few], size, batch_row)
            for tile, answer in zip(few.tolist(), answers, strict=True):
                number = numbers.setdefault(answer.tobytes(), len(numbers))
                of_tile[tile] = number if answer.any() else -1
        of_tile[some] = of_tile[speaker]
    pattern[rows, columns] = np.maximum(of_tile, 0)
    empty = of_tile < 0
    tiles.states[rows[empty], columns[empty]] = EMPTY
    patterns = np.frombuffer(b"".join(numbers), bool)
    return patterns.reshape(-1, size, size).copy(), pattern


def _left_open(
    mask: Mask, i: Interval, j: Interval, batch_row: int | None
) -> Iterator[tuple[Mask, np.ndarray]]:
    """What of a mask is left open in tiles of queries i and keys j, (t,): a simpler mask, and the numbers of its tiles.

    Where one side of an & allows a whole tile, or one side of an | none of it, the other one decides.
    """
    everywhere = np.arange(i.size)
    if not isinstance(mask, And | Or):
        yield mask, everywhere
        return
    left, right = (
        _is_idle(mask, side.read(i, j, batch_row), i.size)
        for side in (mask.left, mask.right)
    )
    for side, some in (
        (mask.left, everywhere[right]),
        (mask.right, everywhere[left & ~right]),
    ):
        if some.size:
            for rest, few in _left_open(side, i[some], j[some], batch_row):
                yield rest, some[few]
    both = everywhere[~left & ~right]
    if both.size:
        for one, some in _left_open(mask.left, i[both], j[both], batch_row):
            some = both[some]
            for other, few in _left_open(mask.right, i[some], j[some], batch_row):
                yield type(mask)(one, other), some[few]


def _is_idle(mask: And | Or, side: Truth, tiles: int) -> np.ndarray:
    return np.broadcast_to(side.must if isinstance(mask, And) else ~side.may, tiles)


def _speakers(
    mask: Mask, i: Interval, j: Interval, tiles: TileMap, batch_row: int | None
) -> np.ndarray:
    """For each of t tiles, the number of one that has the same pattern: itself, or the first on its diagonal."""
    own = np.arange(i.size)
    whole = (i.hi - i.lo == tiles.size - 1) & (j.hi - j.lo == tiles.size - 1)
    distance = i.lo - j.lo
    distances, first, place = np.unique(
        distance[whole], return_index=True, return_inverse=True
    )
    if len(first) == np.count_nonzero(whole):  # no two on one diagonal
        return own
    differences, truth = along_diagonals(mask, tiles.n_q, tiles.n_k, batch_row)
    open_before = np.concatenate(([0], np.cumsum(truth.may & ~truth.must)))
    start = distances - (tiles.size - 1) - differences[0]
    alike = open_before[start + 2 * tiles.size - 1] == open_before[start]
    speaker = own.copy()
    speaker[whole] = np.where(alike[place], own[whole][first][place], own[whole])
    return speaker


def _answers(
    mask: Mask, i: Interval, j: Interval, size: int, batch_row: int | None
) -> np.ndarray:
    """The allowed pairs of t tiles, (t, keys, queries).

    Tiles at the end reach beyond the last token, where the mask has nothing to say: such keys are for no query.
    """
    within = np.arange(size)
    queries = np.minimum(i.lo[:, None, None] + within, i.hi[:, None, None])
    keys = j.lo[:, None, None] + within[:, None]
    last = j.hi[:, None, None]
    answers = mask.read(queries, np.minimum(keys, last), batch_row) & (keys <= last)
    return np.broadcast_to(answers, (i.size, size, size))
