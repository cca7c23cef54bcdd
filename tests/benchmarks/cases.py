"""What is measured: masks, lengths, who takes part, and what the course aims at.

Everything is float32, batch 1, 4 heads, d = 64. A quick run takes the same cases at a few hundred tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from lib.adaptive import top_k_mask
from lib.masks import Mask, causal, coarse, every, offsets, same_block, sink, strided
from lib.masks import window as sliding_window
from lib.tiles import n_pairs

HEADS, FEATURES = 4, 64
WINDOW = 256

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Target:
    """At most so much: of "limit" or of another method, as a multiple of its CPU time; "ms" of CPU; "MiB" more memory;
    "GiB" resident in all. Of "first call": how many times as long a mask takes that was never met before."""

    of: str
    most: float


@dataclass(frozen=True)
class Case:
    """One part of the table. All its masks are causal.

    `mask`: a mask, or a function that chooses one by the content of q and k. `kind`: "forward"; "gradients", a
    forward pass that keeps what a backward pass needs; "backward", both passes; "map", the tile map alone.
    The first method is the course's own, which the targets are for. A quick run compiles nothing.
    """

    key: str
    title: str
    mask: Mask | Callable[[torch.Tensor, torch.Tensor], Mask]
    methods: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    n: int = 16_384
    kind: str = "forward"
    heads_choose: bool = False
    compiles: bool = True

    def inputs(self) -> tuple[Tensors, Mask]:
        """q, k and v of shape (1, heads, n, d), and the mask; heads that choose for themselves are a batch."""
        torch.manual_seed(0)
        leading = (HEADS, 1) if self.heads_choose else (1, HEADS)
        tokens = 0 if self.kind == "map" else self.n
        q, k, v = (torch.randn(*leading, tokens, FEATURES) for _ in range(3))
        for x in (q, k, v):
            x.requires_grad_(self.kind in ("gradients", "backward"))
        return (q, k, v), self.mask_for(q, k)

    def mask_for(self, q: torch.Tensor, k: torch.Tensor) -> Mask:
        return self.mask if isinstance(self.mask, Mask) else self.mask(q, k)

    def operations(self, mask: Mask) -> int:
        """Floating-point operations of the allowed pairs alone.

        Forward 4 · d for each pair: 2 · d for its score, 2 · d for its share of the output. The backward pass
        counts as 2.5 times that, as FlashAttention counts it (Dao 2023): five products instead of two.
        """
        pairs = n_pairs(mask, self.n)
        of_heads = HEADS * pairs if mask.batch is None else int(pairs.sum())
        return int(4 * FEATURES * of_heads * (3.5 if self.kind == "backward" else 1))


WINDOWED = causal & sliding_window(WINDOW)
SINKS = causal & (sliding_window(WINDOW) | sink(4))
BLOCKS = causal & same_block(WINDOW)
RESIDUES = causal & (sliding_window(WINDOW) | strided(128))
POWERS = causal & offsets({0, *(2**power for power in range(14))})
# Tiles of 128: the last nine, the first, and every 32nd.
HYBRID = causal & coarse(sliding_window(9) | sink(1) | every(32, 31), 128)
# Each head and tile of queries chooses four tiles of 64 keys.
TOP_K = partial(top_k_mask, size=64, keep=4, share=64)
LOOK_UP = causal & (sliding_window(WINDOW) | offsets({0, 512, 4096}) | sink(4))

SPARSE = ("tiled", "first call", "flex", "sdpa mask")
NEW = Target("first call", 1.3)
CASES = [
    Case(
        "window",
        f"window({WINDOW})",
        WINDOWED,
        (
            *("tiled", "first call", "flex", "attn-gym"),
            *("local-attention", "sdpa is_causal", "sdpa mask", "naive"),
        ),
        (Target("limit", 1.6), Target("MiB", 20)),
    ),
    Case(
        "window-backward",
        f"window({WINDOW}), forward and backward",
        WINDOWED,
        ("tiled", "first call", "flex", "local-attention", "sdpa mask"),
        (Target("limit", 1.8),),
        kind="backward",
    ),
    Case(
        "sinks",
        f"window({WINDOW}) ∪ sink(4)",
        SINKS,
        SPARSE,
        (Target("limit", 2.0), NEW),
    ),
    Case(
        "blocks",
        f"blocks of {WINDOW}",
        BLOCKS,
        SPARSE,
        (Target("limit", 2.0), NEW),
    ),
    Case(
        "hybrid",
        "hybrid of tiles: the last nine, the first, every 32nd",
        HYBRID,
        SPARSE,
        (Target("limit", 2.0), NEW),
    ),
    Case(
        "top-k",
        "adaptive: the 4 tiles of 64 keys that each head chooses",
        TOP_K,
        SPARSE,
        (Target("limit", 2.0), NEW),
        heads_choose=True,
    ),
    Case(
        "strided",
        f"window({WINDOW}) ∪ strided(128), gradients enabled",
        RESIDUES,
        SPARSE,
        (Target("limit", 2.2),),
        kind="gradients",
    ),
    Case(
        "offsets",
        "15 offsets: 0 and the powers of two",
        POWERS,
        SPARSE,
        (Target("flex", 0.5),),
    ),
    Case(
        "causal",
        "full causal",
        causal,
        ("auto", "flex", "sdpa is_causal"),
        (Target("limit", 1.2),),
    ),
    Case(
        "numpy",
        f"window({WINDOW}) in NumPy",
        WINDOWED,
        ("numpy tiled",),
        (Target("limit", 3.5),),
    ),
    Case(
        "map",
        f"tile map of window({WINDOW}) ∪ offsets ∪ sink(4), tiles of 128",
        LOOK_UP,
        ("tile map", "create_block_mask compiled"),
        (Target("ms", 8), Target("MiB", 2)),
        n=131_072,
        kind="map",
    ),
    Case(
        "map-eager",
        "the same map at a length where an eager create_block_mask fits",
        LOOK_UP,
        ("tile map", "create_block_mask compiled", "create_block_mask eager"),
        n=8_192,
        kind="map",
    ),
    Case(
        "long-window",
        f"window({WINDOW}), a million tokens",
        WINDOWED,
        ("tiled",),
        (Target("GiB", 5),),
        n=2**20,
    ),
    Case(
        "long-hybrid",
        "hybrid of tiles, forward and backward",
        HYBRID,
        ("tiled",),
        n=131_072,
        kind="backward",
    ),
]

# Time and memory against n, each mask at each of these lengths.
SCALING_N = tuple(2**power for power in range(12, 18))
SCALING = [
    Case(f"scaling-{name}", name, mask, ("tiled",))
    for name, mask in {
        "window": WINDOWED,
        "window ∪ sinks": SINKS,
        "blocks": BLOCKS,
        "hybrid of tiles": HYBRID,
        "window ∪ strided": RESIDUES,
        "power-of-two offsets": POWERS,
    }.items()
]
MOST_FOR_DOUBLING = 2.1
