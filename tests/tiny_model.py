"""A model of some thousand numbers that a test trains in seconds, with any attention put into it."""

import math

import torch
import torch.nn.functional as F
from torch import nn

WIDTH = 32


def attend(q, k, v, allowed):
    """Attention with a boolean mask (n_q, n_k), in the plainest form; a row without a key gives zeros."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores.masked_fill(~allowed, -1e9), dim=-1)
    return weights * allowed.any(dim=-1, keepdim=True) @ v


class Layer(nn.Module):
    """Attention and a perceptron, each added to what comes in."""

    def __init__(self):
        super().__init__()
        self.queries, self.keys, self.values = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3)
        )
        self.rest = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)
        )

    def forward(self, x, attention):
        x = x + attention(self.queries(x), self.keys(x), self.values(x))
        return x + self.rest(x)


class Model(nn.Module):
    """Words (batch, n) to the scores of what comes next, (batch, n, words), with `attention(q, k, v)` in each layer.

    A word brings along the one before it, so that a single layer can look up what followed a word.
    """

    def __init__(self, attention, words, n, layers=1):
        super().__init__()
        self.attention = attention
        self.word, self.word_before = (nn.Embedding(words + 1, WIDTH) for _ in range(2))
        self.place = nn.Embedding(n, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        self.next = nn.Linear(WIDTH, words)

    def forward(self, text):
        nothing = self.word.num_embeddings - 1
        before = F.pad(text[:, :-1], (1, 0), value=nothing)
        places = torch.arange(text.shape[1])
        x = self.word(text) + self.word_before(before) + self.place(places)
        for layer in self.layers:
            x = layer(x, self.attention)
        return self.next(x)


def loss(model, text, targets, counted=slice(None)):
    """Mean negative log-likelihood, in nats, of `targets` (batch, n) at the places that are counted."""
    scores, targets = model(text)[:, counted], targets[:, counted]
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def trained(model, draw, steps, counted=slice(None), rate=1e-2):
    """The model after training on new texts in every step: `draw(generator)` gives texts and targets."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, *draw(generator), counted).backward()
        optimizer.step()
        falling.step()
    return model.eval()


def written(model, text, length):
    """The text (batch, n) continued to `length` words, each the likeliest one."""
    with torch.no_grad():
        while text.shape[1] < length:
            likeliest = model(text)[:, -1].argmax(dim=-1, keepdim=True)
            text = torch.cat([text, likeliest], dim=1)
    return text
