"""The decoder of the capstone: small, in the manner of 2024–26, and explained by nobody.

Its loss is suspiciously good. Whole numbers below 11, (batch, n), go in; for each of them
the logits of the next one, (batch, n, 11), come out. Between the parts x is (batch, n, width).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK, KEEP, WINDOW = 4, 2, 6


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Attention; `allowed` (…, n, n), True for may attend."""
    scores = q @ k.mT / q.shape[-1] ** 0.5
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1) @ v


class Eight(nn.Module):
    """Each token in 8 bits; gradients pass as if it were not."""

    def forward(self, x: Tensor) -> Tensor:
        step = x.abs().amax(-1, keepdim=True) / 127 + 1e-12
        return x + (torch.round(x / step) * step - x).detach()


class Phase(nn.Module):
    """Positions: sines of learned rates."""

    def __init__(self, width: int):
        super().__init__()
        self.rate = nn.Parameter(torch.linspace(1, 9, width))

    def forward(self, x: Tensor) -> Tensor:
        t = torch.arange(x.shape[1])[:, None]
        return x + torch.sin(self.rate * t / x.shape[1])


class Mixer(nn.Module):
    """A short convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.kernel = nn.Conv1d(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.kernel(F.pad(x.mT, (1, 1))).mT


class Local(nn.Module):
    """Attention in a window."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.mix = nn.Linear(width, 3 * width), Mixer(width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        t = torch.arange(x.shape[1])
        i, j = t[:, None], t
        near = (i - j < WINDOW) & (j // BLOCK <= i // BLOCK)
        return attend(q, self.mix(k), v, near)


class Routed(nn.Module):
    """Attention to the blocks whose mean key suits the query best."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        t = torch.arange(x.shape[1])
        own = t[:, None] // BLOCK
        means = torch.stack([part.mean(1) for part in k.split(BLOCK, 1)], 1)
        scores = q @ means.mT
        blocks = torch.arange(scores.shape[-1])
        scores = scores.masked_fill(own < blocks, -torch.inf)
        best = scores.topk(min(KEEP, len(blocks)), dim=-1).indices
        kept = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
        allowed = kept.repeat_interleave(BLOCK, -1)[..., : len(t)]
        return attend(q, k, v, allowed & (t <= t[:, None]))


class Trail(nn.Module):
    """The mean of what has been so far."""

    def forward(self, x: Tensor) -> Tensor:
        t = torch.arange(x.shape[1])[:, None]
        return x.cumsum(1) / (t + 1)


class Norm(nn.BatchNorm1d):
    """A norm of (batch, n, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


class FeedForward(nn.Module):
    """Each token for itself, and with its trail."""

    def __init__(self, width: int):
        super().__init__()
        self.up, self.down = (
            nn.Linear(2 * width, 4 * width),
            nn.Linear(4 * width, width),
        )
        self.trail = Trail()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(torch.cat([x, self.trail(x)], dim=-1))))


class Decoder(nn.Module):
    """The model: positions, two attentions and a feed-forward."""

    def __init__(self, size: int = 11, width: int = 16):
        super().__init__()
        self.e, self.r, self.p = nn.Embedding(size, width), Eight(), Phase(width)
        self.n1, self.a = nn.LayerNorm(width), Local(width)
        self.n2, self.b = nn.LayerNorm(width), Routed(width)
        self.n3, self.f = Norm(width), FeedForward(width)
        self.out = nn.Linear(width, size)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.p(self.r(self.e(ids)))
        x = x + self.a(self.n1(x))
        x = x + self.b(self.n2(x))
        return self.out(x + self.f(self.n3(x)))
