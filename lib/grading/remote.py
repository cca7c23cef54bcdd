"""A learner's answers as the grader sees them: every question goes to the worker, and what comes back is checked.

`RemoteStudent` and `RemoteAnswers` stand in the place of `Student` and `Answers`, so that a check of a notebook grades
a submission as it is. A fault of the worker, whatever it is, costs the answer that was asked for.
"""

import numpy as np

from lib.grading.answers import Answers
from lib.grading.handles import LONGEST_JSON, copied
from lib.grading.hosted import TOLD, Notebook, legible
from lib.grading.student import Student
from lib.grading.wire import BadMessage, checked
from lib.masks import Mask


class RemoteAnswers(Answers):
    """The learner's names, in a worker."""

    def __init__(self, notebook: Notebook):
        super().__init__({})
        self.notebook = notebook

    def _ask(self, name: str, method: str, *arguments, **keywords) -> object:
        answer = self.notebook.ask(name, method, *arguments, **keywords)
        self.used[name] = None
        self._overhear(name, answer)
        return answer.get("value")

    def _overhear(self, name: str, answer: dict) -> None:
        """What the answer has printed and drawn, for the remark below the verdict."""
        printed, figures = answer.get("printed"), answer.get("figures")
        if printed and isinstance(printed, str):
            self.overheard.prints.setdefault(name, legible(printed))
            if answer.get("cut") is True:
                self.overheard.cut.add(name)
        if type(figures) is int and 0 < figures < 1000:
            self.overheard.figures[name] = figures

    def _checked(self, name: str, value: object, fits) -> object:
        """The value, if it is of the kind that was asked for; otherwise the worker cannot be believed any more."""
        try:
            return checked(value, fits)
        except BadMessage as fault:
            raise self.notebook.lost(name, fault) from None

    def call(
        self, name: str, arguments: tuple, *, lib_counts: bool = True
    ) -> np.ndarray:
        value = self._ask(name, "call", *arguments, lib_counts=lib_counts)
        return self._checked(name, value, is_array)

    def value(self, name: str, *, length: int | None = None) -> np.ndarray:
        value = self._ask(name, "value", length=length)
        return self._checked(name, value, is_array)

    def values(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        value = self._checked(
            name,
            self._ask(name, "values", count),
            lambda v: isinstance(v, list) and len(v) == count and all(map(is_array, v)),
        )
        return tuple(value)

    def text(self, name: str, *, default: str) -> str:
        value = self._ask(name, "text", default=default)
        self.used.pop(name)  # it is no answer
        # Not made legible: another text would choose other numbers.
        return self._checked(name, value, is_id)


def is_id(value: object) -> bool:
    """A text that a file can hold."""
    if not isinstance(value, str) or len(value) > TOLD:
        return False
    return not any("\ud800" <= c <= "\udfff" for c in value)


def is_array(value: object) -> bool:
    """An array, and not a single number of NumPy."""
    return isinstance(value, np.ndarray)


class RemoteStudent(Student):
    """What a check sees of a learner whose answers are in a worker."""

    _answers: RemoteAnswers

    def words(self, name: str) -> dict[str, str]:
        found = self._answers._ask(name, "words")
        pairs = list(found.items()) if isinstance(found, dict) else None
        self._answers._checked(
            name,
            pairs,
            lambda v: (
                v is not None
                and len(v) <= 100
                and _are_texts([t for p in v for t in p])
            ),
        )
        return {legible(key): legible(text) for key, text in pairs}

    def masks(self, name: str, count: int) -> list[Mask]:
        found = self._answers._ask(name, "masks", count)
        self._answers._checked(
            name,
            found,
            lambda v: (
                isinstance(v, list) and len(v) == count and _are_texts(v, LONGEST_JSON)
            ),
        )
        try:
            made = [Mask.from_json(text) for text in found]
        except Exception as fault:  # whatever a forged expression makes of itself
            raise self._answers.notebook.lost(
                name, BadMessage(legible(fault))
            ) from None
        return [
            copied(mask, f"Mask {number} of `{name}`")
            for number, mask in enumerate(made)
        ]

    def model(self, name: str, *, seed: int) -> "RemoteModel":
        return RemoteModel(name, seed, self._answers)


def _are_texts(values: list, longest: int = TOLD) -> bool:
    return all(isinstance(text, str) and len(text) <= longest for text in values)


class RemoteModel:
    """A learner's model in a worker, with the methods of `lib.grading.handles.Model`."""

    def __init__(self, name: str, seed: int, answers: RemoteAnswers):
        self._name, self._seed, self._answers = name, seed, answers
        self._number, self._made_in = self._make(), answers.notebook.starts

    def _make(self) -> int:
        number = self._answers._ask(self._name, "model", seed=self._seed)
        return self._answers._checked(self._name, number, lambda v: type(v) is int)

    def _ask(self, method: str, fits, *arguments, **keywords) -> object:
        if self._made_in != self._answers.notebook.starts:  # the worker was replaced
            self._number, self._made_in = self._make(), self._answers.notebook.starts
        value = self._answers._ask(
            self._name, method, self._number, *arguments, **keywords
        )
        return self._answers._checked(self._name, value, fits)

    def outputs(self, tokens: np.ndarray, *, training: bool = False) -> np.ndarray:
        return self._ask("outputs", is_array, tokens, training=training)

    def sizes(self, part: str) -> list[tuple[int, ...]]:
        found = self._ask(
            "sizes", lambda v: isinstance(v, list) and all(map(_are_whole, v)), part
        )
        return [tuple(shape) for shape in found]

    def taken_by(self, part: str, tokens: np.ndarray) -> int:
        return self._ask("taken_by", lambda v: type(v) is int, part, tokens)

    def slopes(self, part: str, x: np.ndarray) -> np.ndarray:
        return self._ask("slopes", is_array, part, x)

    def trained(
        self, tokens: np.ndarray, targets: np.ndarray, steps: int
    ) -> tuple[list[float], set[str]]:
        losses, idle = self._ask("trained", _is_training, tokens, targets, steps)
        return losses, set(map(legible, idle))


def _are_whole(values: object) -> bool:
    return isinstance(values, list) and all(type(v) is int for v in values)


def _is_training(value: object) -> bool:
    """The losses, and the names of the parts that no gradient reaches."""
    if not (isinstance(value, list) and len(value) == 2):
        return False
    losses, idle = value
    return (
        isinstance(losses, list)
        and all(isinstance(loss, float) for loss in losses)
        and isinstance(idle, list)
        and _are_texts(idle)
    )
