"""Where PyTorch computes: on a GPU where there is one, else on the CPU (Chapters 5 and 9).

Colab gives a notebook a CPU unless it asks for a GPU; who has got one without a GPU is told how to change that. Where a
size does not fit the device's memory, the error names one to try.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch

SWITCH = (
    "This runtime has no GPU, so the CPU computes. To switch: Runtime → Change runtime type → T4 GPU → Save, "
    "then run the notebook from the top."
)
# PyTorch has an exception of its own for a GPU that is full; the others only say it in words.
FULL = ("out of memory", "can't allocate memory", "not enough memory")


def device() -> str:
    """ "cuda" for an NVIDIA or AMD GPU, "mps" for that of an Apple computer, "cpu" where there is neither.

    On Colab without a GPU it prints how to get one. An "mps" device has no float64.
    """
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    if _on_colab():
        print(SWITCH)
    return "cpu"


@contextmanager
def room_for(name: str, size: int) -> Iterator[None]:
    """Run a step whose memory grows with `size`, which the notebook calls `name`.

    If the device's memory does not suffice, raises MemoryError with the size to try, half of it.
    """
    try:
        yield
    except RuntimeError as problem:
        if not any(words in str(problem) for words in FULL):
            raise
        raise MemoryError(
            f"{name} = {size:,} does not fit the memory of this device. Try {name} = {size // 2:,}: change it where "
            f"it is set, restart the notebook and run it from the top."
        ) from problem


def _on_colab() -> bool:
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is no `google` either
        return False
