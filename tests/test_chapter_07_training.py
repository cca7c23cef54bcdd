"""What chapter 07 measures holds for three seeds: its own cells, with their assertions, run for each.

The notebook shows one seed. A run trains seven small models, so this is for `make test-all`.
"""

import os

import nbformat
import pytest
from book_building import ROOT

CHAPTER = ROOT / "notebooks/07_long_sequence_masks.ipynb"
SETTING = "STEPS, SEED = 120, 0"
# What trains, and what says what must hold of it.
CELLS = (
    "setup",
    "cliff-run",
    "cliff-picture",
    "served",
    "served-check",
    "memory-run",
    "always-a",
    "control-run",
    "cure-run",
    "memory-picture",
)

pytestmark = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "thorough",
    reason="trains seven models for each seed; `make test-all` runs it",
)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_cliff_and_the_relay_hold_for_every_seed(seed):
    sources = {
        cell.id: cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells
    }
    names = {"__name__": "__main__"}
    for cell in CELLS:
        source = sources[cell].replace(SETTING, f"STEPS, SEED = 120, {seed}")
        exec(compile(source, cell, "exec"), names)
    assert names["SEED"] == seed
    assert len(names["found"]) == 3  # pairs of a window and a number of layers
    assert len(names["shares"]) == 3
