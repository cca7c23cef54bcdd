"""The training loop: Adam, one learning rate, new texts in every step (Chapter 4, "Two tasks, two masks")."""

import os
import sys
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from tqdm.auto import tqdm

from lib.masks import Mask
from lib.models.scores import beside, loss_of
from lib.models.seeds import drawer, seeded
from lib.models.vocabulary import Texts


class Data(Protocol):
    """Where texts come from: `lookup`, `die`, or any function that is called like this."""

    def __call__(self, batch: int, *, generator: torch.Generator) -> Texts: ...


def train(
    model: nn.Module,
    mask: Mask | Sequence[Mask],
    data: Data,
    *,
    steps: int,
    lr: float = 4e-3,
    batch: int = 32,
    seed: int = 0,
    until: float | None = None,
    progress: bool | None = None,
) -> list[float]:
    """The loss of each step, in nats; `model` is trained where it stands and left in eval mode.

    ``data(batch, generator=…)`` gives new texts in every step: `lookup` itself, or ``partial(lookup, n=11)``. The same
    `seed` gives the same texts, so the same curve; random numbers of the caller are left as they are. `until`: stop
    early, once the mean of the last ten losses is below it. A progress bar is shown where somebody looks, on a terminal
    or in an open notebook; `progress` says yes or no.
    """
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr)
    generator = drawer(seed + 100)  # the tests of chapters draw from small seeds
    losses = []
    quiet = not (somebody_looks() if progress is None else progress)
    with (
        seeded(seed),
        tqdm(total=steps, disable=quiet, leave=False, desc="training") as bar,
    ):
        for step in range(steps):
            texts = beside(model, data(batch, generator=generator))
            loss = loss_of(model, mask, texts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.2f}", refresh=False)
            if until is not None and step >= 9 and sum(losses[-10:]) < 10 * until:
                break
    model.eval()
    return losses


def somebody_looks() -> bool:
    """Is this a terminal, or a notebook that is open in JupyterLab or Colab?

    A notebook that is run for the book or for a test has no reader, and its outputs are compared: no bar there.
    """
    notebook = "JPY_SESSION_NAME" in os.environ or "COLAB_RELEASE_TAG" in os.environ
    return notebook or sys.stderr.isatty()
