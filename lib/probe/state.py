"""What a probe touches besides the input, and leaves as it was: modes, buffers, random numbers."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def module_of(f: Callable, module: Any) -> Any:
    """The module whose modes are tried: the one that is given, else `f` where it is one, else None."""
    torch = sys.modules.get("torch")  # where it is not loaded, `f` cannot use it
    if module is None and torch is not None and isinstance(f, torch.nn.Module):
        module = f
    if module is not None and not hasattr(module, "modules"):
        raise TypeError(f"module: expected an nn.Module, got {type(module).__name__}")
    return module


@contextmanager
def left_as_it_was(module: Any) -> Iterator[None]:
    """Afterwards random numbers, and the modes and buffers of the module, are as before."""
    torch = sys.modules.get("torch")
    parts = [] if module is None else list(module.modules())
    training = [part.training for part in parts]
    buffers = [dict(part._buffers) for part in parts]
    contents = [
        {name: b.detach().clone() for name, b in held.items() if b is not None}
        for held in buffers
    ]
    states = random.getstate(), np.random.get_state()
    torch_state = torch.get_rng_state() if torch else None
    on_cuda = torch is not None and torch.cuda.is_initialized()
    cuda_states = torch.cuda.get_rng_state_all() if on_cuda else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(torch_state)
        if on_cuda:
            torch.cuda.set_rng_state_all(cuda_states)
        for part, mode, held, content in zip(
            parts, training, buffers, contents, strict=True
        ):
            part.training = mode
            part._buffers.clear()
            part._buffers.update(held)
            with torch.no_grad():
                for name, value in content.items():
                    held[name].copy_(value)


def seed_everything(seed: int) -> None:
    """Random numbers of Python, NumPy and PyTorch start afresh."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(seed)
        # Before CUDA is in use, torch would only put the request on a list that grows with every call.
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
