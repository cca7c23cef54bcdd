"""Who chooses.

Where a query reads only some keys, somebody chooses them. All weights on the future may be zero, and still a later
token decides what an earlier one reads. So change keys and queries apart, and see which of them moved an output.
"""

import numpy as np

from lib.bugs.exhibit import bug
from lib.bugs.settings import (
    BLOCK,
    BLOCKS,
    SELECTION,
    attention_to_blocks,
    best,
    block_means,
    own_blocks,
    scores,
)
from lib.bugs.tell_tales import nothing_hidden_is_read
from lib.masks import causal
from lib.numpy_attention import attention


@bug(
    SELECTION,
    tell_tale="Rows read fewer keys than they chose, and early rows may read none.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 8, "5 Four ways in which a choice tells the future"',
    thread="https://github.com/HKUSTDial/flash-sparse-attention/issues/146",
)
def top_k_before_the_mask(q, k, v):
    """Each query keeps its k best keys, and then the causal mask is applied. The weights of the future are
    zero. But future keys have competed for the k places, and each place they win is lost to the past.
    """
    chosen = best(scores(q, k), 2)
    return attention(q, k, v, chosen & causal.dense(len(q)))


@bug(
    SELECTION,
    tell_tale="Whether a token is read depends on who else wants to read it, later queries included.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 8, "5 Four ways in which a choice tells the future"',
    thread="https://github.com/piotrpiekos/MoSA/issues/3",
)
def keys_choose_queries(q, k, v):
    """To balance the load, each key chooses its k best queries, as experts choose tokens. All those queries
    come after the key, so nothing looks ahead, one thinks. But they compete with each other, and the later ones
    may win.
    """
    allowed = causal.dense(len(q))
    chosen = best(np.where(allowed, scores(q, k), -np.inf), 2, axis=0)
    return attention(q, k, v, chosen & allowed)


@bug(
    BLOCKS,
    tell_tale="Leaks lie inside blocks, and come from keys: a later key of its own block changes which blocks a query "
    "reads. The last query of a block has none. Some queries do not read themselves.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 8, "5 Four ways in which a choice tells the future"',
    thread="https://github.com/karpathy/nanochat/issues/844",
)
def own_unfinished_block_scored(q, k, v):
    """A block is scored by its mean key, and a query keeps the two best of the blocks that have begun. Its own block is
    among them and not finished: its mean holds keys that come later. So the own block must be read unasked, as the
    papers on block selection say. In the thread, means of the block in which a token stands are handed to it directly.
    """
    own, blocks = own_blocks(len(q))
    affinity = np.where(blocks <= own, scores(q, block_means(k)), -np.inf)
    return attention_to_blocks(q, k, v, best(affinity, 2))


@bug(
    BLOCKS,
    tell_tale="Leaks lie inside blocks, and come from queries: a later query of the block changes which blocks an "
    "earlier one reads. The last query of a block has none.",
    passes=nothing_hidden_is_read,
    chapter='Chapter 8, "5 Four ways in which a choice tells the future"',
    thread="https://github.com/microsoft/SeerAttention/issues/6",
)
def mean_query_chooses(q, k, v):
    """Neighbouring queries are to read the same blocks, so that whole tiles can be skipped, and their mean chooses.
    Then the last of them chooses for the first. In the thread a gate that pools queries serves for prompts alone: in
    writing they come one at a time. Let the first query of a group choose.
    """
    own, blocks = own_blocks(len(q))
    chooser = np.repeat(block_means(q), BLOCK, axis=0)[: len(q)]
    affinity = np.where(blocks < own, scores(chooser, block_means(k)), -np.inf)
    return attention_to_blocks(q, k, v, best(affinity, 1) | (blocks == own))
