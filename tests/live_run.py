"""One run of a notebook in a real kernel that answers for several tests, since a chapter may train a model.

What it stores is compared with what this run gives.

A *probe* is one more cell of code, before a cell of the notebook or at its end, that prints its answer as JSON.
`live_run` asks two kinds: `slider_probe.py` moves every slider, and `claim_probe.py` tries each claim that a cell of
code could make. nbval compares the same run once more, by its own rules (see `recorded_kernel.py`).
"""

import copy
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import pytest
from claims import ROOT, Claim, read_claims
from nbclient.exceptions import CellControlSignal
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from lib.authoring.notebooks import execute

# Probes bind no name on which a later cell could lean.
SLIDERS = '__import__("slider_probe").tell(Out)'
OBJECTION = '__import__("claim_probe").tell({cells!r}, globals())'
# Windows has no forks, and on macOS the system's libraries do not live through one.
FORKS = sys.platform == "linux"


@dataclass(frozen=True)
class LiveRun:
    """A notebook as it is stored and as a fresh kernel runs it, and what the probes found.

    `sliders`: what is wrong with the sliders of a cell, by its number; `objections`: the cell that objects to a claim.
    """

    stored: NotebookNode
    executed: NotebookNode
    sliders: dict[str, list[str]]
    objections: dict[Claim, str | None]


_runs: dict[Path, LiveRun | CellControlSignal] = {}  # what came of each in this process


def live_run(path: Path) -> LiveRun:
    """The only run of the notebook in this process. Raises nbclient's error where a cell fails, at every call."""
    if path not in _runs:
        _runs[path] = _run_or_error(path)
    run = _runs[path]
    if isinstance(run, Exception):
        raise run
    return run


def run_so_far(path: Path) -> LiveRun | None:
    """The run of the notebook, if this process has made one and no cell failed."""
    run = _runs.get(path)
    return run if isinstance(run, LiveRun) else None


def _run_or_error(path: Path) -> LiveRun | CellControlSignal:
    stored = nbformat.read(path, as_version=4)
    claims = claims_in_code(path.relative_to(ROOT).as_posix(), stored) if FORKS else []
    probes = [(claim.place, objection_probe(claim, stored)) for claim in claims]
    try:
        executed, [*objections, sliders] = run_with(
            [*probes, (None, SLIDERS)], stored, path.parent
        )
    except CellControlSignal as error:
        return error
    return LiveRun(
        stored, executed, sliders, dict(zip(claims, objections, strict=True))
    )


def claims_in_code(chapter: str, notebook: NotebookNode) -> list[Claim]:
    """The claims that cells of code of the chapter could make, and one that changes nothing.

    That one comes last of all, and so do the cells that it runs again: a fork must not train once more what the
    kernel itself trains.
    """
    code = dict(code_cells(notebook))
    places = [*code]
    found = [
        claim
        for claim in read_claims()
        if claim.chapter == chapter
        and code.get(claim.place, "").count(claim.truth) == 1
    ]
    last = sorted(found, key=lambda claim: places.index(claim.place))[-1:]
    return found + [unchanged(claim) for claim in last]


def unchanged(claim: Claim) -> Claim:
    """The truth in the place of the claim, to which no cell may object."""
    return replace(claim, claim=claim.truth)


def objection_probe(claim: Claim, notebook: NotebookNode) -> str:
    """The code that asks, before the claim's cell, which cell objects to it."""
    changed = copy.deepcopy(notebook)
    first = claim.put_into(changed).id
    cells = code_cells(changed)
    return OBJECTION.format(cells=cells[[id for id, _ in cells].index(first) :])


def code_cells(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Ids and sources of the cells of code, in order."""
    return [
        (cell.id, cell.source) for cell in notebook.cells if cell.cell_type == "code"
    ]


def run_with(
    probes: list[tuple[str | None, str]], notebook: NotebookNode, folder: Path
) -> tuple[NotebookNode, list]:
    """The notebook as a fresh kernel runs it in `folder`, and the answers of the probes.

    A probe is its code and, before it, the id of the cell before which it runs, or None for the end.
    """
    asked = [(place, new_code_cell(code)) for place, code in probes]
    together = copy.deepcopy(notebook)
    together.cells = [
        one
        for cell in notebook.cells
        for one in [*(probe for place, probe in asked if place == cell.id), cell]
    ] + [probe for place, probe in asked if place is None]
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        # A fork has neither the threads nor the GPU of the process it comes from.
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        executed = execute(together, folder)
    ran = {cell.id: cell for cell in executed.cells}
    answers = [ran.pop(probe.id).outputs for _, probe in asked]
    executed.cells = [*ran.values()]
    return executed, [
        json.loads("".join(output.text for output in outputs)) for outputs in answers
    ]
