"""The pictures of a live slider: those seen before, and the next ones, drawn while nobody moves."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from lib.explore.explorer import Drawn, State, Value
from lib.figures import Picture

# A picture takes some 50 kB.
MOST_KEPT = 120
# Seconds between two steps, in which the kernel serves whoever asks for something: a move, another cell.
PAUSE = 0.05


class Ahead:
    """Remembers the pictures of the last states and draws those that a reader may want next.

    `draw` gives the picture of a state of `controls`. When another cell has run, all is forgotten: the cell may
    have changed what `draw` reads.
    """

    def __init__(
        self,
        draw: Callable[[State], Picture],
        controls: dict[str, tuple[Value, ...]],
    ):
        self._draw, self._controls = draw, controls
        self._kept: OrderedDict[tuple[Value, ...], Drawn] = OrderedDict()
        self._cells = cells_run()
        self._task: asyncio.Task | None = None

    def drawn(self, state: State) -> Drawn:
        """What shows a state: at once if it is remembered, else drawn now."""
        self.stop()
        if self._is_stale():
            self._kept.clear()
            self._cells = cells_run()
        key = tuple(state.values())
        if key not in self._kept:
            self._keep(key, self._draw(state))
        self._kept.move_to_end(key)
        return self._kept[key]

    def start(self, state: State) -> None:
        """Draw what lies around a state, in small steps, until `stop`; without an event loop, nothing."""
        self.stop()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(self._draw_on(state))

    def stop(self) -> None:
        """A reader moves: what he asks for comes first."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _draw_on(self, state: State) -> None:
        for _ in self.steps(state):
            await asyncio.sleep(PAUSE)
            if self._is_stale():
                return

    def steps(self, state: State) -> Iterator[None]:
        """Draw the neighbours of a state one after another, and pause before each piece of the work."""
        for near in neighbours(state, self._controls):
            key = tuple(near.values())
            if key in self._kept:
                continue
            try:
                yield
                picture = self._draw(near)
                yield
                picture.settle()
                yield
                self._keep(key, picture)
            except Exception:  # whoever moves there is told, nobody else
                continue

    def _keep(self, key: tuple[Value, ...], picture: Picture) -> None:
        self._kept[key] = Drawn.of(picture)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _is_stale(self) -> bool:
        return self._cells != cells_run()


def neighbours(
    state: State, controls: dict[str, tuple[Value, ...]]
) -> Iterator[dict[str, Any]]:
    """The states that one slider reaches from here, the nearest first."""
    places = {name: values.index(state[name]) for name, values in controls.items()}
    near = [
        (abs(place - places[name]), name, value)
        for name, values in controls.items()
        for place, value in enumerate(values)
        if place != places[name]
    ]
    for _, name, value in sorted(near, key=lambda step: step[0]):
        yield {**state, name: value}


def cells_run() -> int | None:
    """How many cells the kernel has run, asked without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return getattr(shell, "execution_count", None)
