"""A slider moved by a kernel: ipywidgets, in JupyterLab and on Colab."""

import sys
import traceback
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from lib.explore.ahead import Ahead
from lib.explore.explorer import Drawn, Explorer, State, Value, data_uri, label
from lib.figures import ACCENT, Cells, Picture


def in_kernel() -> bool:
    """Whether this code runs in a Jupyter kernel, asked without importing IPython."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class LiveExplorer(Explorer):
    """In a kernel: ipywidgets sliders, and a picture that follows them. `widget` is what is displayed.

    Where the picture has cells, two more sliders point at a row and a column; a mouse need only rest on a cell.
    A state seen before shows at once. After the first move the states next to it are drawn while nobody moves.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        controls: dict[str, tuple[Value, ...]],
        start: State,
        caption: str | None,
    ):
        self._ahead = Ahead(self.picture_at, controls)
        super().__init__(draw, controls, start, caption)
        import ipywidgets  # here and not above: the book's build and plain Python do without it

        self._sliders = {
            name: _slider(label(name), values, self.state[name], self._moved)
            for name, values in self.controls.items()
        }
        self._pointers = []
        if self.cells:
            names, lengths = (
                (self.cells.rows, self.cells.columns),
                self.cells.says.shape,
            )
            self._pointers = [
                _slider(name, range(length), 0, self._pointed)
                for name, length in zip(names, lengths, strict=True)
            ]
        self._view = ipywidgets.HTML(self._picture_html())
        below = [ipywidgets.HTML(escape(self.caption))] if self.caption else []
        self.widget = ipywidgets.VBox(
            [self._view, *self._sliders.values(), *self._pointers, *below]
        )
        # Version 7.7, which Colab has, gives a widget no mimebundle, so it is written out here. The picture
        # stays beside it for GitHub and for readers without a kernel.
        view = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": self.widget.model_id,
        }
        self._bundle["application/vnd.jupyter.widget-view+json"] = view

    def _move(self, state: State) -> None:
        for name, value in state.items():
            self._sliders[name].value = value

    def _moved(self, change: Any) -> None:
        """A slider has moved: redraw, or show in place of the picture why `draw` could not."""
        self.state = {name: slider.value for name, slider in self._sliders.items()}
        try:
            self._redraw()
        except Exception:
            self._view.value = (
                f'<pre role="alert">{escape(traceback.format_exc())}</pre>'
            )
            raise
        self._view.value = self._picture_html()
        self._ahead.start()

    def _drawn(self, state: State) -> Drawn:
        return self._ahead.drawn(state)

    def _pointed(self, change: Any) -> None:
        """A slider of the row or the column has moved: the picture stays, another cell speaks."""
        self._view.value = self._picture_html()

    def _picture_html(self) -> str:
        # An <img> and not ipywidgets.Image, which has no alternative text.
        source = data_uri(self._png, "image/png")
        style = "display: block; max-width: 100%; height: auto"
        image = f'<img src="{source}" alt="{escape(self.read_out)}" style="{style}">'
        if not self.cells:
            return image
        row, column = (pointer.value for pointer in self._pointers)
        return (
            f'<div style="position: relative; width: fit-content; max-width: 100%">{image}'
            f"{_grid(self.cells, row, column)}</div><p>{escape(self.cells.says[row, column])}</p>"
        )


def _slider(name: str, values: Sequence[Value], now: Value, moved: Callable):
    """An ipywidgets slider over `values` that calls `moved` when it moves."""
    import ipywidgets

    slider = ipywidgets.SelectionSlider(
        options=[(str(value), value) for value in values],
        value=now,
        description=name,
        style={"description_width": "10em"},
        layout={"width": "min(100%, 36em)"},
    )
    slider.observe(moved, "value")
    return slider


def _grid(cells: Cells, row: int, column: int) -> str:
    """Empty elements over the cells of a picture: each says its sentence under the mouse, one has a frame."""
    left, top, width, height = (f"{100 * part:.3f}%" for part in cells.box)
    n_q, n_k = cells.says.shape
    frame = f' style="outline: 3px solid {ACCENT}"'
    spans = (
        f'<span title="{escape(says)}"{frame if cell == (row, column) else ""}></span>'
        for cell, says in np.ndenumerate(cells.says)
    )
    return (
        f'<div style="position: absolute; left: {left}; top: {top}; width: {width}; height: {height}; '
        f'display: grid; grid: repeat({n_q}, 1fr) / repeat({n_k}, 1fr)">{"".join(spans)}</div>'
    )
