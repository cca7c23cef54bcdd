"""A slider moved by a kernel: ipywidgets, in JupyterLab and on Colab."""

import sys
import traceback
from html import escape
from typing import Any

from lib.explore.explorer import Explorer, Value, data_uri, label


def in_kernel() -> bool:
    """Whether this code runs in a Jupyter kernel, asked without importing IPython."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


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
