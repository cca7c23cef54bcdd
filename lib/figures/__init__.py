"""Pictures of masks, weights and values: pure drawing functions, and `show`, where alt text is given.

Each drawing function takes arrays and returns a Matplotlib figure. It reads nothing else and changes
nothing else, so the same arguments always give the same pixels. One grammar holds in all of them: a hatched
cell is a forbidden pair.
"""

from lib.figures.influence import HIDDEN, LEAK, LOST, READS, Panel, influence
from lib.figures.masks import (
    LARGEST_TILE_MAP,
    TILE_STYLES,
    empty_rows,
    leak_matrix,
    mask_and_tiles,
    mask_grid,
    tile_map,
    tile_map_alt,
)
from lib.figures.numbers import cliffs, rulers, score_panels
from lib.figures.picture import (
    ACCENT,
    CELLS,
    FAINT,
    FORBIDDEN,
    INK,
    Cells,
    Picture,
    show,
)
from lib.figures.ranges import accuracy_panels, reach
from lib.figures.steps import STEPS, Steps
from lib.figures.values import attention_state, hull_order, plane, value_plane
from lib.figures.weights import (
    attention_arcs,
    attention_flow,
    matrix,
    share_bars,
    weight_bars,
)

__all__ = [
    "ACCENT",
    "CELLS",
    "FAINT",
    "FORBIDDEN",
    "HIDDEN",
    "INK",
    "LARGEST_TILE_MAP",
    "LEAK",
    "LOST",
    "READS",
    "STEPS",
    "TILE_STYLES",
    "Cells",
    "Panel",
    "Picture",
    "Steps",
    "accuracy_panels",
    "attention_arcs",
    "attention_flow",
    "attention_state",
    "cliffs",
    "empty_rows",
    "hull_order",
    "influence",
    "leak_matrix",
    "mask_and_tiles",
    "mask_grid",
    "matrix",
    "plane",
    "reach",
    "rulers",
    "score_panels",
    "share_bars",
    "show",
    "tile_map",
    "tile_map_alt",
    "value_plane",
    "weight_bars",
]
