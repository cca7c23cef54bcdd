"""What crosses between the grader and the worker that runs a learner's code: JSON and `.npy`, of limited size.

A message is a JSON text and the arrays that it names. Nothing is ever unpickled or evaluated, and whatever comes from
the worker is held against what was asked for: it can give an answer, and nothing else.
"""

import io
import json
import math
import os
import select
import struct
import time
from collections.abc import Callable

import numpy as np

MOST_BYTES = 64 * 2**20  # of one message, its arrays included
# Of its JSON, which takes twenty times as much memory once it is read.
MOST_TEXT = 4 * 2**20
MOST_ARRAYS = 64
LONGEST_HEADER = 512  # of an array: its type and its shape, in words
WAITING = 3  # times as long as it may work may an answer take, on a machine that does other things too
KINDS = "biuf"  # booleans, whole numbers, floats


class BadMessage(ValueError):
    """What came is no message, or is larger than a message may be."""


class Gone(Exception):
    """The process at the other end has ended."""


class TooLate(Exception):
    """The other end did not answer in time."""


class Channel:
    """Messages over two pipes; one such object at each end."""

    def __init__(self, reading: int, writing: int):
        self._reading, self._writing = reading, writing
        # A forger may fill or drain a pipe that was just ready.
        for end in (reading, writing):
            os.set_blocking(end, False)

    def send(self, message: dict, *, until: float | None = None) -> None:
        """Send a message; `until` is a time of `time.monotonic`, after which TooLate is raised."""
        arrays: list[bytes] = []
        text = json.dumps(packed(message, arrays)).encode()
        parts = [struct.pack(">II", len(text), len(arrays)), text]
        for data in arrays:
            parts += [struct.pack(">I", len(data)), data]
        whole = memoryview(b"".join(parts))
        _fits(len(text), MOST_TEXT)
        _fits(len(whole), MOST_BYTES)
        while whole:
            _wait([], [self._writing], until)
            try:
                whole = whole[os.write(self._writing, whole) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise Gone from None

    def receive(self, *, until: float | None = None) -> dict:
        """The next message, with its arrays in their places; Gone, TooLate or BadMessage where there is none."""
        length, count = struct.unpack(">II", self._read(8, until))
        room = MOST_BYTES - length
        if length > MOST_TEXT or count > MOST_ARRAYS:
            raise BadMessage("a message that is too large")
        text = self._read(length, until)
        arrays = []
        for _ in range(count):
            [size] = struct.unpack(">I", self._read(4, until))
            room -= size
            if room < 0:
                raise BadMessage("a message that is too large")
            arrays.append(array_from(self._read(size, until)))
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise BadMessage("a message that is no JSON") from None
        if not isinstance(message, dict):
            raise BadMessage("a message that is no table of names")
        return {name: unpacked(value, arrays) for name, value in message.items()}

    def _read(self, size: int, until: float | None) -> bytes:
        data = bytearray()
        while len(data) < size:
            _wait([self._reading], [], until)
            try:
                piece = os.read(self._reading, size - len(data))
            except BlockingIOError:
                continue
            if not piece:
                raise Gone
            data += piece
        return bytes(data)

    def close(self) -> None:
        """Close this end."""
        os.close(self._reading)
        os.close(self._writing)


def _fits(size: int, most: int) -> None:
    if size > most:
        raise BadMessage(
            f"it takes {size:,} bytes; at most {most:,} can be handed over"
        )


def _wait(reading: list[int], writing: list[int], until: float | None) -> None:
    """Return as soon as the pipe is ready; TooLate when that is not so in time."""
    left = None if until is None else max(until - time.monotonic(), 0)
    if not any(select.select(reading, writing, [], left)):
        raise TooLate


def packed(value: object, arrays: list[bytes]) -> object:
    """The value as JSON has it; an array becomes {"array": its place among `arrays`}."""
    if isinstance(value, dict):
        return {str(name): packed(part, arrays) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [packed(part, arrays) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        file = io.BytesIO()
        array = np.asarray(value)
        _fits(array.nbytes, MOST_BYTES)  # a view may be larger than what it shows
        np.save(file, _common(array), allow_pickle=False)
        arrays.append(file.getvalue())
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return {kind: len(arrays) - 1}
    return value


def _common(array: np.ndarray) -> np.ndarray:
    """Floats of a kind that not every machine has become float64."""
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def unpacked(value: object, arrays: list[np.ndarray]) -> object:
    """The value that was packed, of the top two levels; BadMessage where it names an array that did not come."""
    if isinstance(value, list):
        return [_with_array(part, arrays) for part in value]
    return _with_array(value, arrays)


def _with_array(value: object, arrays: list[np.ndarray]) -> object:
    for kind, given in (("array", lambda array: array), ("number", lambda a: a[()])):
        if isinstance(value, dict) and set(value) == {kind}:
            place = value[kind]
            if type(place) is not int or not 0 <= place < len(arrays):
                raise BadMessage("an array that did not come")
            return given(arrays[place])
    return value


def array_from(data: bytes) -> np.ndarray:
    """The array of a `.npy` text, of booleans, whole numbers or floats; BadMessage for anything else.

    Its size is checked before any memory is taken for it.
    """
    file = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(
            file, max_header_size=LONGEST_HEADER
        )
        numbers = data[file.tell() :]
        if dtype.kind not in KINDS or math.prod(shape) * dtype.itemsize != len(numbers):
            raise ValueError("no numbers, or too many")
        array = np.frombuffer(numbers, dtype).reshape(shape, order="CF"[by_columns])
    except Exception as error:  # whatever NumPy makes of a forged header
        raise BadMessage(f"an array that is none: {error}") from None
    if dtype.kind == "b":  # only 0 and 1 are booleans, whatever byte a forger sends
        return np.asarray(array.view(np.uint8) != 0)
    return array.copy()  # a check may write into it


def texts(value: object, most: int, longest: int) -> list[str]:
    """The value, if it is a list of so many texts; BadMessage otherwise."""
    return checked(
        value,
        lambda v: (
            isinstance(v, list)
            and len(v) <= most
            and all(isinstance(text, str) and len(text) <= longest for text in v)
        ),
    )


def checked(value: object, fits: Callable[[object], bool]) -> object:
    """The value, if it fits what was asked for; BadMessage otherwise."""
    if not fits(value):
        raise BadMessage("an answer of another kind than was asked for")
    return value
