"""Sliders that live twice: moved by a kernel in a notebook, and by a little script on the published page.

The page has no kernel, so every state of its sliders is drawn when the book is built. The rest of the
course calls `explore` and need not know which of the two lives a cell leads.
"""

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from lib.explore.page import data_uri, label, page_html
from lib.figures import Picture

Value = int | float | str

# The book's build sets this variable to the folder that collects the pictures of all states.
BOOK_FOLDER = "MASKING_THE_FUTURE_BOOK"


def explore(
    draw: Callable[..., Picture],
    /,
    *,
    caption: str | None = None,
    **controls: Sequence[Value],
) -> "Explorer":
    """A picture with a slider for each control; as the last expression of a cell, it displays itself.

    `draw(**state)` is pure and returns ``show(figure, alt=…)``; the alternative text is also what a
    screen reader says when a slider moves. A control is a ``range``, a list or a tuple of numbers or
    strings, for example ``window=range(1, 9)``. It starts at the default that `draw` gives to this
    parameter, else at its first value.

    Raises ValueError or TypeError where a control is not usable, where `draw` does not return a
    Picture, and, in the book's build, where there are more than 3 controls or 120 states.
    """
    if not controls:
        raise ValueError(
            "explore: expected at least one control, for example window=range(1, 9); got none"
        )
    values = {name: _values(name, given) for name, given in controls.items()}
    start = _start(draw, values)
    folder = os.environ.get(BOOK_FOLDER)
    if folder:
        return PageExplorer(draw, values, start, caption, folder=Path(folder))
    return (LiveExplorer if _in_kernel() else Explorer)(draw, values, start, caption)


def _values(name: str, given: Sequence[Value]) -> tuple[Value, ...]:
    """The values of one control, refused where a slider could not run over them."""
    if not isinstance(given, (range, list, tuple)):
        raise TypeError(
            f"{name}: expected a range, a list or a tuple of values, got {type(given).__name__}"
        )
    for value in given:
        if not isinstance(value, Value):
            raise TypeError(
                f"{name}: expected numbers or strings, got {value!r} ({type(value).__name__})"
            )
    if len(given) < 2 or len(set(given)) < len(given):
        raise ValueError(
            f"{name}: expected at least two values, all different, got {given!r}"
        )
    return tuple(given)


def _start(
    draw: Callable[..., Picture], controls: dict[str, tuple[Value, ...]]
) -> dict[str, Value]:
    """The starting value of each control: the default of `draw`, else the first value."""
    signature = inspect.signature(draw)
    start = {}
    for name, values in controls.items():
        parameter = signature.parameters.get(name)
        start[name] = values[0]
        if parameter is not None and parameter.default is not parameter.empty:
            if parameter.default not in values:
                raise ValueError(
                    f"{name}: {_name(draw)} starts it at {parameter.default!r}, which is not among {values}"
                )
            start[name] = values[values.index(parameter.default)]
    try:
        signature.bind(**start)
    except TypeError as problem:
        given = ", ".join(controls)
        raise TypeError(
            f"{_name(draw)}{signature} does not fit the controls {given}: {problem}"
        ) from None
    return start


def _name(draw: Callable[..., Picture]) -> str:
    return getattr(draw, "__name__", repr(draw))


def _in_kernel() -> bool:
    """Whether this code runs in a Jupyter kernel, asked without importing IPython."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class Explorer:
    """A picture and the controls it depends on. Outside a kernel it shows its first state.

    `controls` maps each name to its values, `state` to the value it has now, and `read_out` is the
    alternative text of the picture now displayed.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        controls: dict[str, tuple[Value, ...]],
        start: dict[str, Value],
        caption: str | None,
    ):
        self.draw, self.controls, self.caption = draw, controls, caption
        self.state = start
        self._redraw()
        self._text = self._describe()
        self._bundle = {"text/plain": self._text, "image/png": self._png}
        self._metadata = {"image/png": {"alt": self.read_out}}

    def set(self, **state: Value) -> None:
        """Move the named controls, as a reader would, and redraw; whatever `draw` raises is raised here."""
        for name, value in state.items():
            if name not in self.controls:
                raise ValueError(
                    f"set: there is no control {name!r}; there is {', '.join(self.controls)}"
                )
            if value not in self.controls[name]:
                raise ValueError(
                    f"set: {name} takes one of {self.controls[name]}, got {value!r}"
                )
        self._move(state)

    def picture_png(self) -> bytes:
        """The picture now displayed."""
        return self._png

    def picture_at(self, state: dict[str, Value]) -> Picture:
        """The picture of any state, freshly drawn."""
        picture = self.draw(**state)
        if not isinstance(picture, Picture):
            raise TypeError(
                f"{_name(self.draw)}: expected a Picture, so end it with `return show(figure, alt=…)`; "
                f"got {type(picture).__name__}"
            )
        return picture

    def _move(self, state: dict[str, Value]) -> None:
        self.state = self.state | state
        self._redraw()

    def _redraw(self) -> None:
        picture = self.picture_at(self.state)
        self.read_out, self._png = picture.alt, picture.encode()

    def _describe(self) -> str:
        lines = [self.caption] if self.caption else []
        for name, values in self.controls.items():
            few = values if len(values) < 10 else (*values[:2], "…", values[-1])
            offered = ", ".join(map(str, few))
            lines.append(f"{label(name)} = {self.state[name]} (of {offered})")
        return "\n".join([*lines, self.read_out])

    def __repr__(self) -> str:
        return self._text

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict, dict]:
        return self._bundle, self._metadata


class LiveExplorer(Explorer):
    """In a kernel: ipywidgets sliders, and a picture that follows them. `widget` is what is displayed."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        import ipywidgets  # here and not above: the book's build and plain Python do without it

        self._view = ipywidgets.HTML(self._picture_html())
        self._sliders = {
            name: ipywidgets.SelectionSlider(
                options=[(str(value), value) for value in values],
                value=self.state[name],
                description=label(name),
                style={"description_width": "10em"},
                layout={"width": "min(100%, 36em)"},
            )
            for name, values in self.controls.items()
        }
        for slider in self._sliders.values():
            slider.observe(self._moved, "value")
        below = [ipywidgets.HTML(escape(self.caption))] if self.caption else []
        self.widget = ipywidgets.VBox([self._view, *self._sliders.values(), *below])
        # Version 7.7, which Colab has, gives a widget no mimebundle, so it is written out here. The picture
        # stays beside it for GitHub and for readers without a kernel.
        view = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": self.widget.model_id,
        }
        self._bundle["application/vnd.jupyter.widget-view+json"] = view

    def _move(self, state: dict[str, Value]) -> None:
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

    def _picture_html(self) -> str:
        # An <img> and not ipywidgets.Image, which has no alternative text.
        source = data_uri(self._png, "image/png")
        return f'<img src="{source}" alt="{escape(self.read_out)}" style="max-width: 100%; height: auto">'


class PageExplorer(Explorer):
    """In the book: every state is drawn now, and a little script on the page swaps the pictures.

    It draws when it is made, not when it is displayed, because IPython lets a cell succeed whose result
    could not be displayed.
    """

    def __init__(self, *arguments: Any, folder: Path):
        super().__init__(*arguments)
        self._bundle = {"text/plain": self._text, "text/html": page_html(self, folder)}
        self._metadata = {}
