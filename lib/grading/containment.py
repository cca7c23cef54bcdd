"""Around the call of a learner's function: what it prints, draws and asks for stays inside, and settings are kept."""

import builtins
import contextlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from IPython.utils.capture import capture_output

PRINTED = 300  # so many characters of a print are told, and no more than these lines
LINES = 6


class Asked(Exception):
    """The learner's function waits for somebody to type."""


class _Prints(io.TextIOBase):
    """Keeps the beginning of what is printed, and counts the rest."""

    def __init__(self) -> None:
        self.kept, self.count = "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.kept += text[: PRINTED - len(self.kept)]
        self.count += len(text)
        return len(text)


@dataclass
class Overheard:
    """What the calls of one check have printed and drawn beside their results."""

    prints: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    figures: dict[str, int] = field(default_factory=dict)

    def remark(self) -> str:
        """One remark on all of it, however many calls there were; empty when they were silent."""
        told = []
        for name, text in self.prints.items():
            more = "\n…" if name in self.cut else ""
            told.append(
                f"`{name}` prints. Its first call printed the following; the other calls are left out.\n{text}{more}"
            )
        for name, count in self.figures.items():
            told.append(
                f"`{name}` opened {count} figure{'s' * (count > 1)} during the check, which closed what was opened."
            )
        return "\n".join(told)


class Settings(NamedTuple):
    """What a notebook may set for PyTorch as a whole: the type and the device of new tensors."""

    dtype: object
    device: object


@contextmanager
def with_settings(settings: Settings | None) -> Iterator[None]:
    """PyTorch with these settings, and afterwards with those that it had before."""
    torch = sys.modules.get("torch")
    if torch is None or settings is None:
        yield
        return
    before = settings_now()
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def _set(settings: Settings) -> None:
    torch = sys.modules["torch"]
    torch.set_default_dtype(settings.dtype)
    if torch.get_default_device() != settings.device:  # a mode, slow even for the CPU
        torch.set_default_device(settings.device)


def settings_now() -> Settings | None:
    """The settings that the notebook has made; None where PyTorch is not loaded."""
    torch = sys.modules.get("torch")
    return torch and Settings(torch.get_default_dtype(), torch.get_default_device())


def course_settings() -> Settings | None:
    """The settings that a check counts on: PyTorch's own, which a learner may have changed."""
    torch = sys.modules.get("torch")
    return torch and Settings(torch.float32, torch.device("cpu"))


@contextmanager
def contained(name: str, overheard: Overheard) -> Iterator[None]:
    """Keep what the answer `name` prints, displays and draws meanwhile; refuse its `input()` by raising Asked."""
    prints, figures = _Prints(), _figures()
    own_input = builtins.input
    builtins.input = _refuse
    try:
        with (
            np.errstate(all="ignore"),
            capture_output(stdout=False, stderr=False),
            contextlib.redirect_stdout(prints),
            contextlib.redirect_stderr(prints),
        ):
            yield
    finally:
        builtins.input = own_input
        _note(prints, name, overheard)
        opened = _figures() - figures
        if opened:
            _close(opened)
            count = overheard.figures.get(name, 0) + len(opened)
            overheard.figures[name] = count


def _refuse(*_) -> str:
    raise Asked


def _note(prints: _Prints, name: str, overheard: Overheard) -> None:
    """Remember what the first call that printed has printed."""
    if not prints.kept.strip() or name in overheard.prints:
        return
    lines = prints.kept.rstrip().split("\n")
    overheard.prints[name] = "\n".join(lines[:LINES])
    if prints.count > len(prints.kept) or len(lines) > LINES:
        overheard.cut.add(name)


def _figures() -> set[int]:
    """The numbers of the open figures, where anything is drawn at all."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set(pyplot.get_fignums()) if pyplot else set()


def _close(figures: set[int]) -> None:
    for number in figures:
        sys.modules["matplotlib.pyplot"].close(number)
