"""Selection by content, inside the causal set (Chapter 8).

The masks of `lib.masks` know positions only. Here the tokens themselves decide how much of the past a query
reads: softly, by a gate on each pair; by a span that each head learns; or hard, by choosing tiles of keys.

One rule holds for all of them: **whatever decides what query i reads may depend on tokens 0 … i only.**
A choice that looks at later tokens tells the past about the future, even where every pair it picks is causal.

Shapes are those of `lib.torch_attention`: q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), with
heads before tokens. With n_k > n_q the queries are the last n_q positions.
"""

import math
from numbers import Real

import torch

from lib.engine.checks import (
    allowed_pairs,
    check_floats,
    check_queries_and_keys,
    check_values,
    wide,
)
from lib.masks import Mask, causal, coarse, explicit, window
from lib.numpy_attention import score_scale
from lib.readings import arguments, shapes
from lib.torch_attention import attention

# --- a gate on each pair ---------------------------------------------------------------------------


def gated_weights(
    q: torch.Tensor,
    k: torch.Tensor,
    gate: torch.Tensor,
    mask: Mask | torch.Tensor | None = causal,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    """α of shape (..., n_q, n_k) with α_ij ∝ f_ij · L_ij · exp(s_ij): softmax(S + log f + log L).

    In NumPy, ``softmax(S + np.log(gate) + np.log(mask.dense(n)))`` (Chapter 8, "2 A gate on each pair").
    `gate` holds f, numbers from 0 to 1 that broadcast to (..., n_q, n_k); for one number per key give
    ``gate[..., None, :]``. `mask` is L; without a causal one, and a gate that is itself causal, the past is told
    of the future.

    A gate of 0 gives its pair weight exactly 0, and a row without an open pair zeros with gradient 0. Weights
    are differentiable in q, k and the gate, at 0 too, so that a closed gate can open again: written with
    log f, whose slope 1/f is infinite there, they would not be. Slopes at gates below the dtype's smallest
    normal number are held at 1/√(that number), which is about 1e19 in float32.

    Errors as in `lib.torch_attention.attention_weights`; ValueError for a gate outside 0 … 1.
    """
    check_queries_and_keys(q, k)
    scores = wide(q) @ wide(k).transpose(-1, -2) * score_scale(scale, q.shape[-1])
    gate = _checked_gate(gate, scores)
    if mask is not None:
        allowed = allowed_pairs(mask, scores.shape, q.device)
        scores = scores.masked_fill(~allowed, -math.inf)
    return _gated_softmax(scores, gate).to(q.dtype)


def gated_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    gate: torch.Tensor,
    mask: Mask | torch.Tensor | None = causal,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    """a_i = Σ_j α_ij v_j with the weights of `gated_weights`, of shape (..., n_q, d_v)."""
    check_queries_and_keys(q, k)
    check_values(q, k, v)
    return gated_weights(q, k, gate, mask, scale=scale) @ v


def _gated_softmax(scores: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    if scores.shape[-1] == 0:  # no keys: nothing to share out
        return scores
    # Softmax does not see a common shift; with this one the largest f · exp(s) becomes 1.
    largest = (scores.detach() + gate.detach().log()).amax(dim=-1, keepdim=True)
    empty = largest == -math.inf
    exponents = scores - largest.masked_fill(empty, 0)
    # Where the gate is open the exponent is at most −log f. Where it is shut nothing bounds it.
    tiny = torch.finfo(scores.dtype).tiny
    held = exponents.clamp(max=-math.log(tiny) / 2)
    exponentials = gate * torch.where(gate < tiny, held, exponents).exp()
    total = exponentials.sum(dim=-1, keepdim=True)
    return (exponentials / total.masked_fill(empty, 1)).masked_fill(empty, 0)


def _checked_gate(gate: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    check_floats("gate", gate)
    if gate.device != scores.device:
        raise ValueError(
            f"gate: expected a tensor on {scores.device}, where q is, got one on {gate.device}; "
            f"use gate.to(q.device)"
        )
    if not shapes.broadcasts_to(tuple(gate.shape), tuple(scores.shape)):
        raise ValueError(
            f"gate: expected a shape that broadcasts to {tuple(scores.shape)} (..., n_q, n_k), got "
            f"{tuple(gate.shape)}; for one number per key give gate[..., None, :]"
        )
    if not ((gate >= 0) & (gate <= 1)).all():
        raise ValueError(
            f"gate: expected numbers from 0 to 1, got some from {gate.min().item():.4g} to "
            f"{gate.max().item():.4g}; torch.sigmoid brings any number there"
        )
    return gate.to(scores.dtype)


# --- a span that each head learns ------------------------------------------------------------------


def span_gate(
    distance: torch.Tensor, span: torch.Tensor, *, ramp: float
) -> torch.Tensor:
    """m_z(x) = clip((R + z − x) / R, 0, 1): open up to x = z, shut from x = z + R on, straight between.

    `distance` holds x = i − j, of shape (n_q, n_k); `span` holds z, one number per head, of shape (heads,)
    or (..., heads); `ramp` is R. The result is (..., heads, n_q, n_k) (Chapter 8,
    "3 A head that learns how far to look"; Sukhbaatar et al. 2019).
    """
    span = wide(_checked_span(span, ramp))[..., None, None]
    return ((ramp + span - distance) / ramp).clamp(0, 1)


def span_mask(span: torch.Tensor, *, ramp: float) -> Mask:
    """The mask outside of which every head's gate is shut: ``causal & window(w)``, w = ⌈R + the largest z⌉.

    An executor may skip what it forbids: the weights there are exactly 0.
    """
    reach = (ramp + wide(_checked_span(span, ramp).detach())).max().item()
    return causal & window(math.ceil(reach))


def adaptive_span_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    span: torch.Tensor,
    *,
    ramp: float,
    scale: float | None = None,
) -> torch.Tensor:
    """Causal attention in which each head reads as far back as it has learned to (Sukhbaatar et al. 2019).

    `span` holds z ≥ 0, one number per head, and is trained with the rest: a span grows where a little more
    past would help. Adding a multiple of ``span.mean()`` to the loss lets it shrink where it would not. The
    query's own key is always fully open. Weights are ∝ m_z(i − j) · exp(s_ij) for j ≤ i, that is,
    softmax(S + log m + log L). The span does not depend on the tokens, so it cannot leak.

    Shapes and errors as in `lib.torch_attention.attention`; ValueError for a negative span.
    """
    check_queries_and_keys(q, k)
    mask = span_mask(span, ramp=ramp)
    _check_heads(span, torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]))
    n_q, n_k = q.shape[-2], k.shape[-2]
    i = torch.arange(n_q, device=q.device)[:, None] + mask.first_query(n_q, n_k)
    j = torch.arange(n_k, device=q.device)[None, :]
    gate = span_gate(i - j, span, ramp=ramp)
    return gated_attention(q, k, v, gate, mask, scale=scale)


def _checked_span(span: torch.Tensor, ramp: float) -> torch.Tensor:
    check_floats("span", span)
    if not isinstance(ramp, Real) or isinstance(ramp, bool):
        raise TypeError(f"ramp: expected a number of positions, got {ramp!r}")
    if not 0 < ramp < math.inf:
        raise ValueError(f"ramp: expected more than 0 positions, got {ramp}")
    if not span.numel():
        raise ValueError(
            f"span: expected a number for each head, got shape {tuple(span.shape)}"
        )
    if not ((span >= 0) & (span < math.inf)).all():
        raise ValueError(
            f"span: expected at least 0 positions for each head, got {span.min().item():.4g} to "
            f"{span.max().item():.4g}; after each training step, with torch.no_grad(): span.clamp_(min=0)"
        )
    return span


def _check_heads(span: torch.Tensor, leading: torch.Size) -> None:
    try:
        fits = torch.broadcast_shapes(span.shape, leading) == leading
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"span: expected a shape that broadcasts to {tuple(leading)}, one number for each head of q and k, got "
            f"{tuple(span.shape)}"
        )


# --- a choice of tiles -----------------------------------------------------------------------------


@torch.no_grad()
def top_k_tiles(
    q: torch.Tensor, k: torch.Tensor, *, size: int, keep: int, share: int = 1
) -> torch.Tensor:
    """Which tiles of `size` keys each query reads: booleans (..., ⌈n_q / share⌉, ⌈n_k / size⌉), True = reads.

    A query always keeps its own tile. Among the tiles that end before its own begins it picks the keep − 1
    whose **mean key** has the largest dot product with it; equal ones from the left. Its own tile is never
    scored: the mean of an unfinished tile would hold keys that the query may not read yet (Chapter 8,
    "4 Choosing blocks"; Lu et al. 2025, MoBA; Yuan et al. 2025, Native Sparse Attention).

    With `share` = s, s neighbouring queries use one choice, so that whole tiles can be skipped. The first of
    them chooses: a choice by their mean would tell the first ones about the last. `share` must divide
    `size`, and the number of keys before the queries.

    Raises ValueError and TypeError for arguments that do not fit.
    """
    check_queries_and_keys(q, k)
    n_q, n_k = q.shape[-2], k.shape[-2]
    size, keep, share, first = _checked_sizes(size, keep, share, n_q, n_k)
    finished = n_k // size
    chooser = wide(q[..., ::share, :])
    keys = wide(k[..., : finished * size, :])
    mean_keys = keys.unflatten(-2, (finished, size)).mean(dim=-2)
    tile = torch.arange(-(-n_k // size), device=q.device)
    own = torch.arange(first, first + n_q, share, device=q.device)[:, None] // size
    past = tile < own
    affinity = chooser @ mean_keys.transpose(-1, -2)
    # NaN first, as in a sort: whoever reads such a tile shall see it.
    affinity = affinity.masked_fill(~past[:, :finished], -math.inf)
    affinity = affinity.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
    # Of equal ones topk may take any, so it is asked for the least value alone.
    wanted = min(keep - 1, finished)
    least = affinity.topk(wanted).values[..., -1:] if wanted else math.inf
    above, equal = affinity > least, affinity == least
    room = wanted - above.sum(dim=-1, keepdim=True)
    chosen = above | equal & (equal.cumsum(dim=-1) <= room)
    chosen = torch.nn.functional.pad(chosen, (0, len(tile) - finished))
    # Early queries have fewer than keep − 1 tiles behind them: what else was chosen is no choice.
    return chosen & past | (tile == own)


def top_k_mask(
    q: torch.Tensor, k: torch.Tensor, *, size: int, keep: int, share: int = 1
) -> Mask:
    """The choice of `top_k_tiles` as a mask, for any executor: ``causal & coarse(explicit(…), size, share)``.

    A mask has one batch axis, and each head chooses for itself. So the leading dimensions of q and k, heads
    among them, become one batch in their order, as ``q.flatten(0, -3)`` has them; without leading dimensions
    the mask has no batch. Arguments and errors as in `top_k_tiles`.
    """
    chosen = top_k_tiles(q, k, size=size, keep=keep, share=share)
    # Rows of the table count positions from 0; those before the first query are never asked for.
    before = (k.shape[-2] - q.shape[-2]) // share
    table = torch.nn.functional.pad(chosen, (0, 0, before, 0))
    if table.ndim > 3:
        table = table.flatten(0, -3)
    return causal & coarse(explicit(table), size, share)


def top_k_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    size: int,
    keep: int,
    share: int = 1,
    scale: float | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """Causal attention over the `keep` tiles that each query chooses, of shape (..., n_q, d_v).

    Gradients reach q, k and v through the pairs that were chosen. The choice itself is a step function of q
    and k: its gradient is 0, and outputs jump where the choice changes. Arguments and errors as in
    `top_k_tiles` and `lib.torch_attention.attention`.
    """
    check_queries_and_keys(q, k)
    check_values(q, k, v)
    leading = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    # A mask has one batch axis: heads become rows of the batch, and heads again afterwards.
    rows = math.prod(leading)
    q, k, v = (
        x.expand(*leading, *x.shape[-2:]).reshape(rows, *x.shape[-2:])
        for x in (q, k, v)
    )
    mask = top_k_mask(q, k, size=size, keep=keep, share=share)
    output = attention(q, k, v, mask, scale=scale, backend=backend)
    return output.reshape(*leading, *output.shape[-2:])


def _checked_sizes(
    size: int, keep: int, share: int, n_q: int, n_k: int
) -> tuple[int, int, int, int]:
    """The three sizes as ints, and the position of the first query."""
    size = arguments.integer("size", size, at_least=1)
    keep = arguments.integer("keep", keep, at_least=1)
    share = arguments.integer("share", share, at_least=1)
    if size % share:
        raise ValueError(
            f"share: expected a divisor of the tile size {size}, so that queries that share a choice lie in one "
            f"tile; got {share}"
        )
    first = causal.first_query(n_q, n_k)
    if first % share:
        raise ValueError(
            f"share: expected queries that begin where a group of {share} does, but {first} keys stand before "
            f"them; begin at a multiple of {share}, or decode with share=1"
        )
    return size, keep, share, first
