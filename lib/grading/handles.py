"""Answers that are no numbers: masks, words and models. Only text and numbers of them reach a check.

What has to touch the learner's object stands here and in `lib.grading.answers`, so that a worker in another process can
do it: a mask travels as JSON, a dictionary as words, and a model stays where it is and is asked for numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass

import numpy as np

from lib.grading.answers import Answers, Wrong, faults_in_words
from lib.grading.faults import kind
from lib.masks import Mask
from lib.probe.state import left_as_it_was
from lib.readings.tables import Table

LARGEST_TABLE = (
    4096  # numbers in the arrays of a mask; a rule for any length needs none
)
LONGEST_JSON = 2**16


class Handles:
    """What a check asks of such answers; `lib.grading.student.Student` has these methods."""

    _answers: Answers

    def words(self, name: str) -> dict[str, str]:
        """The learner's dictionary `name` of texts; a class as a key, or an object of it, stands for its name."""
        answer = self._answers.look_up(name)
        if not isinstance(answer, dict):
            raise Wrong(
                f"`{name}` should be a dictionary, such as `{{'one': 'text'}}`; it is {kind(answer)}."
            )
        return {
            _text(name, _own_name(key)): _text(name, value)
            for key, value in answer.items()
        }

    def masks(self, name: str, count: int) -> list[Mask]:
        """The `count` masks of `lib.masks` that the learner's `name` makes, each without a batch or a large array."""
        made = self._answers.made(name)
        if not isinstance(made, list | tuple) or len(made) != count:
            raise Wrong(
                f"`{name}` should give a list of {count} masks; it gives {kind(made)}."
            )
        with self._answers.at_work(name):
            return [
                copied(mask, f"Mask {number} of `{name}`")
                for number, mask in enumerate(made)
            ]

    def model(self, name: str, *, seed: int) -> "Model":
        """A handle of the PyTorch model that the learner's `name` makes, after ``torch.manual_seed(seed)``."""
        import torch  # a question about models needs it, no other

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = self._answers.made(name)
        if not isinstance(made, torch.nn.Module):
            advice = " Make one of it: `Decoder()`." if isinstance(made, type) else ""
            raise Wrong(
                f"`{name}` should give a model, an `nn.Module`; it gives {kind(made)}.{advice}"
            )
        return Model(name, made, self._answers)


def _own_name(key: object) -> object:
    """A text as it is; of a class, or of an object of a class, the name of the class."""
    if isinstance(key, str):
        return key
    return getattr(key, "__name__", type(key).__name__)


def _text(name: str, word: object) -> str:
    if not isinstance(word, str):
        raise Wrong(f"`{name}` should hold texts alone; it holds {kind(word)}.")
    return word.strip()


def copied(mask: object, who: str) -> Mask:
    """The mask, made anew of its JSON; refused before a large array is written out."""
    if not isinstance(mask, Mask):
        raise Wrong(
            f"{who} is {kind(mask)}. Write it as a rule of `lib.masks`, such as `causal & window(8)`."
        )
    if mask.batch is not None or _numbers_in(mask) > LARGEST_TABLE:
        raise Wrong(
            f"{who} holds an array, which fits one length or one batch alone. Write a rule of `lib.masks`."
        )
    try:
        text = mask.to_json()
        if len(text) > LONGEST_JSON:
            raise Wrong(
                f"{who} is an expression of {len(text):,} characters; at most {LONGEST_JSON:,}."
            )
        return Mask.from_json(text)
    except (TypeError, ValueError):
        raise Wrong(
            f"{who} is of a class of your own. `Mask(lambda i, j: …)` makes a mask of any rule."
        ) from None


def _numbers_in(mask: Mask) -> int:
    """How many numbers the arrays of the mask hold, and those of the masks that it is made of."""
    known = fields(mask) if is_dataclass(mask) else ()
    parts = [getattr(mask, field.name) for field in known]
    return sum(part.array.size for part in parts if isinstance(part, Table)) + sum(
        _numbers_in(part) for part in parts if isinstance(part, Mask)
    )


class Model:
    """A learner's PyTorch model, which stays on the learner's side and answers in numbers.

    Calls leave its modes and buffers as they were; whatever its code raises becomes a sentence. Tokens are (batch, n).
    """

    def __init__(self, name: str, module, answers: Answers):
        self._name, self._module, self._answers = name, module, answers

    @contextmanager
    def _asked(self, training: bool = False) -> Iterator[None]:
        with self._answers.at_work(self._name), left_as_it_was(self._module):
            self._module.train(training)
            yield

    def outputs(self, tokens: np.ndarray, *, training: bool = False) -> np.ndarray:
        """What the model makes of the tokens, in one mode."""
        import torch

        with self._asked(training), torch.no_grad():
            outputs = self._module(torch.from_numpy(tokens))
            if not isinstance(outputs, torch.Tensor):
                raise Wrong(
                    f"The model of `{self._name}` should give a tensor; it gives {kind(outputs)}."
                )
            return outputs.numpy(force=True)

    def sizes(self, part: str) -> list[tuple[int, ...]]:
        """The shapes of the parameters of a part, sorted."""
        parameters = self._part(part).parameters()
        return sorted(tuple(parameter.shape) for parameter in parameters)

    def _part(self, part: str):
        with faults_in_words(self._name, self._module):
            try:
                return self._module.get_submodule(part)
            except AttributeError:
                raise Wrong(
                    f"The model of `{self._name}` has no part `{part}`. Keep the parts and their names."
                ) from None

    def taken_by(self, part: str, tokens: np.ndarray) -> int:
        """How many numbers the part is given during one call of the model."""
        import torch

        counts = []
        hook = self._part(part).register_forward_pre_hook(
            lambda _, given: counts.append(given[0].numel())
        )
        try:
            with self._asked(), torch.no_grad():
                self._module(torch.from_numpy(tokens))
        finally:
            hook.remove()
        return sum(counts)

    def slopes(self, part: str, x: np.ndarray) -> np.ndarray:
        """(n, n): whether output i of a part has a slope in token j of its input x, (n, width).

        What is chosen is read with a slope; what the choice depends on is not.
        """
        import torch

        with self._asked():
            weights = next(self._module.parameters())
            given = torch.tensor(x, dtype=weights.dtype, requires_grad=True)
            outputs = self._part(part)(given[None])[0]
            mixed = outputs @ torch.linspace(1, 2, outputs.shape[-1]).to(outputs)
            rows = [
                torch.autograd.grad(output, given, retain_graph=True)[0]
                for output in mixed
            ]
            return torch.stack(rows).ne(0).any(-1).numpy()

    def trained(
        self, tokens: np.ndarray, targets: np.ndarray, steps: int
    ) -> tuple[list[float], set[str]]:
        """The losses of so many steps on one batch, and the parts with weights that no gradient reaches.

        A target of −100 asks nothing. Afterwards the parameters are as before, also where the model failed.
        """
        import torch

        losses, weights = [], dict(self._module.named_parameters())
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        try:
            with self._asked(training=True):
                optimizer = torch.optim.Adam(weights.values(), lr=4e-3)
                for _ in range(steps):
                    logits = self._module(torch.from_numpy(tokens)).flatten(0, 1)
                    loss = torch.nn.functional.cross_entropy(
                        logits, torch.from_numpy(targets).flatten()
                    )
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
            idle = {
                name.partition(".")[0]
                for name, weight in weights.items()
                # A bias may be without effect, as that of a key is.
                if weight.ndim > 1 and (weight.grad is None or not weight.grad.any())
            }
        finally:
            for name, weight in weights.items():
                weight.grad = None
                with torch.no_grad():
                    weight.copy_(before[name])
        return losses, idle
