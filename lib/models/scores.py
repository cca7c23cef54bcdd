"""How good is a model? Asked in one pass, as in training, and asked honestly (Chapter 5, "Two ways to ask a model")."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from lib.masks import Mask
from lib.models.vocabulary import NOTHING, Texts


class Score(NamedTuple):
    """Mean negative log-likelihood in nats, and the share of targets that got the largest logit."""

    loss: float
    accuracy: float


def beside(model: nn.Module, texts: Texts) -> Texts:
    """The texts on the device of the model; where a model has no numbers of its own, as they are."""
    return texts.to(next(model.parameters(), texts.tokens).device)


def logits_of(
    model: nn.Module, mask: Mask | Sequence[Mask], texts: Texts
) -> torch.Tensor:
    """(batch, n, size), all in one pass; where the texts have a source, the model reads that too."""
    if texts.source is None:
        return model(texts.tokens, mask)
    return model(texts.tokens, mask, source=texts.source)


def loss_of(
    model: nn.Module, mask: Mask | Sequence[Mask], texts: Texts
) -> torch.Tensor:
    """Mean loss over the targets, in one pass: what training makes smaller."""
    texts, _ = _asked(model, texts)
    logits = logits_of(model, mask, texts)
    return F.cross_entropy(logits.flatten(0, -2), texts.targets.flatten())


@torch.no_grad()
def parallel(model: nn.Module, mask: Mask | Sequence[Mask], texts: Texts) -> Score:
    """All positions in one pass over the whole text: what training reports. The model stays in the mode it is in."""
    texts, asked = _asked(model, texts)
    return _score(logits_of(model, mask, texts)[asked], texts.targets[asked])


@torch.no_grad()
def honest(model: nn.Module, mask: Mask | Sequence[Mask], texts: Texts) -> Score:
    """Each position is asked with a text that ends there, under the mask of that shorter text: what a reader gets.

    It equals `parallel` where the model is prefix-consistent, as a causal `Decoder` is, and takes a pass for each
    position at which something is asked.
    """
    texts, asked = _asked(model, texts)
    return _score(_cut(model, mask, texts, asked)[asked], texts.targets[asked])


@torch.no_grad()
def accuracy_by_distance(
    model: nn.Module, mask: Mask | Sequence[Mask], texts: Texts
) -> dict[int, float]:
    """Share of right answers for each distance from question to pair, nearest first, asked honestly (Chapter 7)."""
    if texts.distance is None:
        raise ValueError(
            "texts: expected texts that know their distances, as those of lookup do, got distance None"
        )
    texts, asked = _asked(model, texts)
    right = _cut(model, mask, texts, asked).argmax(dim=-1) == texts.targets
    return {
        int(d): right[asked & (texts.distance == d)].double().mean().item()
        for d in texts.distance[asked].unique()
    }


def _asked(model, texts):
    """The texts where the model is, and the positions (batch, n) at which something is asked."""
    texts = beside(model, texts)
    asked = texts.targets != NOTHING
    if not asked.any():
        raise ValueError(
            f"texts: expected a target other than {NOTHING} somewhere, got none: nothing is asked"
        )
    return texts, asked


def _cut(model, mask, texts, asked):
    """Logits (batch, n, size): those of position t from the tokens up to t alone; zeros where nothing is asked."""
    logits = None
    for t in asked.any(dim=0).nonzero().flatten():
        shorter = texts._replace(tokens=texts.tokens[:, : t + 1])
        last = logits_of(model, mask, shorter)[:, -1]
        if logits is None:
            logits = last.new_zeros(*texts.tokens.shape, last.shape[-1])
        logits[:, t] = last
    return logits


def _score(logits, targets):
    """Of logits (questions, size) and targets (questions,)."""
    right = logits.argmax(dim=-1) == targets
    return Score(F.cross_entropy(logits, targets).item(), right.double().mean().item())
