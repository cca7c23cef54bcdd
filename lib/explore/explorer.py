"""A picture and the controls it depends on: what every life of a slider has in common."""

import base64
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lib.figures import Cells, Picture

Value = int | float | str
State = dict[str, Value]


class Drawn(NamedTuple):
    """What a slider shows of a picture: its alternative text, its pixels as PNG, its cells."""

    alt: str
    png: bytes
    cells: Cells | None

    @classmethod
    def of(cls, picture: Picture) -> "Drawn":
        return cls(picture.alt, picture.encode(), picture.cells)


class Explorer:
    """A picture and the controls it depends on. Outside a kernel it shows its first state.

    `controls` maps each name to its values, `state` to the value it has now; `read_out` is the
    alternative text of the picture now displayed, and `cells` what its cells say, if it has any to point at.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        controls: dict[str, tuple[Value, ...]],
        start: State,
        caption: str | None,
    ):
        self.draw, self.controls, self.caption = draw, controls, caption
        self.state = start
        self._shape: tuple[int, ...] | None = None  # of the cells to point at
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

    def picture_at(self, state: State) -> Picture:
        """The picture of any state, freshly drawn."""
        picture = self.draw(**state)
        if not isinstance(picture, Picture):
            raise TypeError(
                f"{_name(self.draw)}: expected a Picture, so end it with `return show(figure, alt=…)`; "
                f"got {type(picture).__name__}"
            )
        shape = picture.cells.says.shape if picture.cells else ()
        if self._shape is None:  # this is the first picture
            self._shape = shape
        if shape != self._shape:
            raise ValueError(
                f"{_name(self.draw)}: expected cells of one shape in every state, {self._shape} as at the start, "
                f"got {shape} at {state}"
            )
        return picture

    def _move(self, state: State) -> None:
        self.state = self.state | state
        self._redraw()

    def _redraw(self) -> None:
        self.read_out, self._png, self.cells = self._drawn(self.state)

    def _drawn(self, state: State) -> Drawn:
        return Drawn.of(self.picture_at(state))

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


def check_values(name: str, given: Sequence[Value]) -> tuple[Value, ...]:
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


def starting_state(
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


def label(name: str) -> str:
    """How a control is called beside its slider."""
    return name.replace("_", " ")


def data_uri(content: bytes, kind: str) -> str:
    """A picture as an address that holds it, so that no second file is needed."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
