"""The page of a learner's progress: one HTML file that needs nothing else, for light and dark, wide and narrow."""

import html
import os
from pathlib import Path
from types import ModuleType

from lib.grading.feedback import COLOURS
from lib.grading.links import COLAB
from lib.grading.record import Record, stored

# Status → how the map shows it: a class, a sign and a word, so that colour is never alone.
SHOWN = {
    "solved": ("solved", "✔", "solved"),
    "wrong": ("tried", "…", "tried, not right yet"),
    "broken": ("tried", "!", "its check failed"),
    "unsolved": ("open", "", "open"),
}
# Colours that keep a contrast of 3 : 1 on a white and on a dark page; text has the colour of the page around it.
STYLE = f"""
.mtf-map ol {{ list-style: none; display: flex; flex-wrap: wrap; gap: 1.1em 0; margin: 0.8em 0 1.2em; padding: 0;
  overflow: hidden; font-size: 0.85em; line-height: 1.35; }}
.mtf-map ol > li {{ position: relative; width: 9em; margin: 0; padding: 0 0.4em; box-sizing: border-box;
  text-align: center; }}
.mtf-map ol > li::before {{ content: ""; position: absolute; top: 1.3em; left: calc(-50% + 1.6em);
  width: calc(100% - 3.2em); border-top: 2px dashed {COLOURS["unsolved"]}; }}
.mtf-map ol > li.solved::before {{ border-top: 3px solid {COLOURS["solved"]}; }}
.mtf-map ol > li:first-child::before {{ display: none; }}
.mtf-map .stop {{ display: flex; align-items: center; justify-content: center; width: 2.6em; height: 2.6em;
  margin: 0 auto 0.3em; box-sizing: border-box; font-weight: bold; border: 2px dashed {COLOURS["unsolved"]};
  border-radius: 50%; }}
.mtf-map .solved .stop {{ background: {COLOURS["solved"]}; border: none; color: #ffffff; }}
.mtf-map .tried .stop {{ width: 2.1em; height: 2.1em; margin: 0.25em auto 0.55em; border: 3px solid {COLOURS["wrong"]};
  border-radius: 0.4em; transform: rotate(45deg); }}
.mtf-map .tried .stop span {{ transform: rotate(-45deg); }}
.mtf-map .number {{ display: block; font-weight: bold; }}
.mtf-map .state {{ display: block; opacity: 0.75; }}
.mtf-map .bar {{ display: inline-block; width: 12em; max-width: 50vw; height: 0.6em; border-radius: 0.3em;
  overflow: hidden; background: #80808055; }}
.mtf-map .bar span {{ display: block; height: 100%; background: {COLOURS["solved"]}; }}
@media (max-width: 40em) {{
  .mtf-map ol {{ flex-direction: column; }}
  .mtf-map ol > li {{ display: grid; grid-template-columns: 3.4em 1fr; width: auto; text-align: left; }}
  .mtf-map ol > li::before, .mtf-map ol > li.solved::before {{ display: none; }} }}
"""
PAGE_STYLE = f"""
:root {{ color-scheme: light dark; }}
body {{ margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: #ffffff; color: #1a2b42; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14181f; color: #e6ebf2; }} }}
main {{ padding: 1.5em max(1em, calc(50vw - 33em)); }}
h1 {{ margin: 0 0 0.2em; font-size: 1.6em; }}
h2 {{ margin: 1.6em 0 0; font-size: 1.15em; }}
a {{ color: inherit; }}
.next {{ padding: 0.6em 0.9em; border-left: 4px solid {COLOURS["solved"]}; }}
"""


def part(record: Record) -> str:
    """The map alone, as a cell of a notebook shows it."""
    if not record.exercises:
        return f"<p>{record}</p>"
    routes = "".join(
        f"<p>{_heading(record, exercise)}</p>{_route(record, exercise)}"
        for exercise in record.exercises
    )
    return f'<style>{STYLE}</style><div class="mtf-map">{routes}</div>'


def page(record: Record, folder: Path) -> str:
    """The whole page; links to notebooks are relative to `folder`, where it will lie."""
    points = [record.points(exercise) for exercise in record.exercises]
    so_far, total = (sum(column) for column in zip(*points, strict=True))
    routes = "".join(
        f"<h2>{_heading(record, exercise)}</h2>{_route(record, exercise)}"
        f"<small>{_sources(record, exercise, folder)}</small>"
        for exercise in record.exercises
    )
    skipped = "".join(f"<li>{html.escape(line)}</li>" for line in record.skipped)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>My progress · Masking the Future</title><style>{STYLE}{PAGE_STYLE}</style></head>\n"
        '<body><main class="mtf-map"><h1>My progress</h1>'
        f"<p><strong>Masking the Future</strong> · {_bar(so_far, total)}</p>"
        f"{_next(record, folder)}{routes}"
        + (f"<h2>Files left out</h2><ul>{skipped}</ul>" if skipped else "")
        + f'</main><script type="application/json" id="results">{stored(record.results)}</script></body></html>\n'
    )


def _heading(record: Record, exercise: ModuleType) -> str:
    name = f"Exercise {exercise.CHAPTER[:2]} · {html.escape(exercise.TITLE)}"
    return f"{name} · {_bar(*record.points(exercise))}"


def _bar(so_far: int, total: int) -> str:
    return (
        f'<span class="bar" aria-hidden="true"><span style="width: {100 * so_far // total}%"></span></span> '
        f"{so_far}&nbsp;of&nbsp;{total}&nbsp;points"
    )


def _route(record: Record, exercise: ModuleType) -> str:
    """The questions of an exercise as the stops of a line."""
    stops = []
    for question, title in exercise.TITLES.items():
        mark, points = record.mark(question), exercise.POINTS[question]
        kind, sign, word = SHOWN[mark.status]
        if 0 < mark.points < points:
            kind, sign = SHOWN["wrong"][:2]
            word = f"{mark.points} of {points} points, go on"
        else:
            word = f"{word}<br>{points} point{'s' * (points > 1)}"
        stops.append(
            f'<li class="{kind}"><span class="stop" aria-hidden="true"><span>{sign}</span></span>'
            f'<div><span class="number">{question}</span>{html.escape(title)}'
            f'<span class="state">{word}</span></div></li>'
        )
    return f"<ol>{''.join(stops)}</ol>"


def _next(record: Record, folder: Path) -> str:
    if record.next is None:
        return '<p class="next">Everything is solved. Well done!</p>'
    exercise, question = record.next
    return (
        f'<p class="next">Next: question {question}, {html.escape(exercise.TITLES[question])}. '
        f"Open {_notebook(record, exercise, folder)}.</p>"
    )


def _notebook(record: Record, exercise: ModuleType, folder: Path) -> str:
    """Links to the learner's notebook of the exercise, where one was read, and to Colab."""
    fresh = (
        f'<a href="{COLAB}exercises/{exercise.CHAPTER}.ipynb">a fresh one on Colab</a>'
    )
    own = [
        record.sources[question]
        for question in exercise.POINTS
        if question in record.sources and record.sources[question].suffix == ".ipynb"
    ]
    return f"{_link(own[0], folder)}, or {fresh}" if own else fresh


def _link(path: Path, folder: Path) -> str:
    address = Path(os.path.relpath(path, folder)).as_posix()
    return f'<a href="{html.escape(address)}">{html.escape(path.name)}</a>'


def _sources(record: Record, exercise: ModuleType, folder: Path) -> str:
    """The files that the results of the exercise were read from."""
    files = {record.sources[q] for q in exercise.POINTS if q in record.sources}
    if not files:
        return "nothing was read about this exercise yet"
    return "read from " + ", ".join(_link(path, folder) for path in sorted(files))
