"""Compiles `kernel.cpp` beside it when it is first needed, with the C++ compiler that `CXX` names, or else with g++."""

import atexit
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch

from lib.engine.spans import QUERIES

SOURCE = Path(__file__).with_name("kernel.cpp")
FEATURES = 256  # for so many kernel.cpp has room
OPTIONS = (
    "-O3", "-march=native", "-std=gnu++17", "-fPIC", "-shared",
    f"-DQUERIES={QUERIES}", f"-DFEATURES={FEATURES}",
)  # fmt: skip
FOR_TYPE = {torch.float32: (), torch.float64: ("-DDOUBLE",)}
SECONDS = 120  # that a compiler may take; it takes one or two


def compiler_name() -> str:
    """The C++ compiler that is asked for."""
    return os.environ.get("CXX") or "g++"


def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled loops for numbers of this type; None without a compiler, or, with a warning, where it fails."""
    return _library(dtype) if dtype in FOR_TYPE else None


@lru_cache(maxsize=2)
def _library(dtype: torch.dtype) -> ctypes.CDLL | None:
    compiler = shutil.which(compiler_name())
    if compiler is None:
        return None
    try:
        loaded = _loaded([compiler, *OPTIONS, *FOR_TYPE[dtype]])
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        warnings.warn(
            f"lib/engine/kernel.cpp could not be compiled with {compiler} and loaded from {_folder()}, so PyTorch's "
            f"own operations take its place, which are slower: {said}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    for name, tensors in (("forward", 6), ("backward", 10)):
        function = getattr(loaded, name)
        function.argtypes = [ctypes.c_void_p] * (1 + tensors)  # before them, the work
        function.restype = None
    return loaded


def _loaded(command: list[str]) -> ctypes.CDLL:
    """The library that the command compiles, from the folder where it is kept if it is there.

    Its name tells of what it was made: the source, the options and what the compiler knows of this processor.
    """
    processor = _output([*command, "-dM", "-E", "-x", "c++", os.devnull])
    made_of = f"{command} {processor}".encode() + SOURCE.read_bytes()
    path = _folder() / f"kernel-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    if path.exists():
        with suppress(OSError):  # damaged, so it is made anew
            return ctypes.CDLL(str(path))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder, path.name)
        _output([*command, str(SOURCE), "-o", str(new)])
        new.replace(path)  # at once, whoever else is compiling it
    return ctypes.CDLL(str(path))


@lru_cache(maxsize=1)
def _folder() -> Path:
    """Where compiled files are kept: in the user's cache, or, if nothing can be written there, until Python ends."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "masking-the-future"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # RuntimeError: nobody knows the user's home
        folder = Path(tempfile.mkdtemp(prefix="masking-the-future-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        timeout=SECONDS,
        encoding="utf-8",
        errors="replace",
    )
    return done.stdout
