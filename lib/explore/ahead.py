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
        self._before: State | None = None  # where the reader came from,
        self._here: State | None = None  # and where he is
        self._task: asyncio.Task | None = None

    def drawn(self, state: State) -> Drawn:
        """What shows a state: at once if it is remembered, else drawn now."""
        self.stop()
        self._before, self._here = self._here or state, state
        if self._is_stale():
            self._kept.clear()
            self._cells = cells_run()
        key = tuple(state.values())
        if key not in self._kept:
            self._keep(key, self._draw(state))
        self._kept.move_to_end(key)
        return self._kept[key]

    def start(self) -> None:
        """Draw what lies around the state shown last, in small steps, until `stop`; without an event loop, nothing."""
        self.stop()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(self._draw_on())

    def stop(self) -> None:
        """A reader moves: what he asks for comes first."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _draw_on(self) -> None:
        for _ in self.steps():
            await asyncio.sleep(PAUSE)
            if self._is_stale():
                return

    def steps(self) -> Iterator[None]:
        """Draw the neighbours of that state one after another, and pause before each piece of the work."""
        for near in neighbours(self._before, self._here, self._controls):
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
    before: State, state: State, controls: dict[str, tuple[Value, ...]]
) -> Iterator[dict[str, Any]]:
    """This state and those that one slider reaches from it, the nearest first, and of two as near the one further on.

    Further on is the way that led from the state `before` to this one.
    """
    near = []
    for name, values in controls.items():
        here = values.index(state[name])
        came = here - values.index(before[name])
        steps = [(place - here, value) for place, value in enumerate(values)]
        near += [(abs(step), step * came <= 0, name, value) for step, value in steps]
    for *_, name, value in sorted(near, key=lambda step: step[:2]):
        yield {**state, name: value}


def cells_run() -> int | None:
    """How many cells the kernel has run, asked without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return getattr(shell, "execution_count", None)
