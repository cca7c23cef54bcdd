"""Is it right? Some rows and some gradients against dense attention in float64.

The reference knows nothing of tiles: it reads the mask's rule for whole rows. The limit on an error is
FlashAttention's: three times the error that plain float32 attention makes itself, and at least 2e-6.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from cases import Case

from lib.masks import Mask

ALLOWANCE, FLOOR = 3, 2e-6
SPREAD = 25
# The gradient of a key is checked if no more queries than this read it: all their rows are computed.
MOST_READERS = 2048


def chosen_rows(n: int) -> list[int]:
    """First, last, both sides of edges of tiles, and others spread evenly."""
    edges = (0, 64, 128, 256, 1024, n // 2, n - n % 128, n)
    near = {edge + side for edge in edges for side in (-1, 0, 1)}
    spread = np.linspace(0, n - 1, SPREAD).astype(int).tolist()
    return sorted({row for row in {*near, *spread} if 0 <= row < n})


def upstream(output: torch.Tensor) -> torch.Tensor:
    """The gradient that a backward pass starts with: fixed, of the output's shape, different in every place."""
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(1))


def attention_error(
    case: Case,
    inputs: Sequence[torch.Tensor],
    mask: Mask,
    results: Sequence[torch.Tensor],
) -> tuple[float, float]:
    """The largest error among the rows checked, and its limit; relative to the largest number where that exceeds 1.

    `results`: the output, and in a backward case the gradients of q, k and v for `upstream(output)`.
    """
    compared = list(_compared(case, inputs, mask, results))
    error = max(_distance(found, exact) for found, _, exact in compared)
    of_plain = max(_distance(plain, exact) for _, plain, exact in compared)
    return error, max(ALLOWANCE * of_plain, FLOOR)


def _compared(case, inputs, mask, results) -> Iterator[tuple[torch.Tensor, ...]]:
    """What was found, what plain float32 attention gives there, and what is true."""
    output, *gradients = results
    rows = torch.tensor(chosen_rows(case.n))
    plain, exact = (_dense(inputs, mask, rows, dtype) for dtype in DTYPES)
    yield output[..., rows, :], plain[0], exact[0]
    if not gradients:
        return
    yield tuple(x[..., rows, :] for x in (gradients[0], plain[1], exact[1]))
    for key in {0, case.n // 3, case.n // 2 - 1, case.n - 200, case.n - 1}:
        readers = mask.read(torch.arange(case.n), torch.tensor(key)).nonzero()[:, 0]
        if len(readers) <= MOST_READERS:
            plain, exact = (_dense(inputs, mask, readers, dtype) for dtype in DTYPES)
            for number in (1, 2):
                three = gradients[number], plain[number + 1], exact[number + 1]
                yield tuple(x[..., key, :] for x in three)


DTYPES = torch.float32, torch.float64


def _dense(inputs, mask, rows, dtype) -> tuple[torch.Tensor, ...]:
    """The output of these rows, and the gradients of q, k and v as far as these rows make them."""
    q, k, v = (x.detach().to(dtype).requires_grad_() for x in inputs)
    allowed = mask.read(rows[:, None], torch.arange(k.shape[-2])[None])
    allowed = allowed if mask.batch is None else allowed[:, None]
    read = allowed.flatten(0, -2).any(0).nonzero()[:, 0]  # by any of the rows
    scores = q[..., rows, :] @ k[..., read, :].mT / math.sqrt(q.shape[-1])
    weights = scores.masked_fill(~allowed[..., read], -math.inf).softmax(dim=-1)
    output = weights @ v[..., read, :]
    g = upstream(q)[..., rows, :].to(dtype)
    return output.detach(), *torch.autograd.grad(output, (q, k, v), g)


def _distance(found: torch.Tensor, exact: torch.Tensor) -> float:
    """NaN counts as infinitely wrong."""
    difference = (found.double() - exact.double()).abs().max() / max(
        exact.abs().max().item(), 1
    )
    return difference.nan_to_num(nan=math.inf).item()
