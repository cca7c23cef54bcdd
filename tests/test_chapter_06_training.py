"""What chapter 06 claims of its small models holds for three seeds: its own cells, with their assertions, run for each.

The notebook shows one seed. A run takes most of a minute, so this is for `make test-all`.
"""

import os

import nbformat
import pytest
from book_building import ROOT

CHAPTER = ROOT / "notebooks/06_between_the_two.ipynb"
SETTING = "STEPS, SEED = 360, 2"

pytestmark = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "thorough",
    reason="trains eight models for each seed; `make test-all` runs it",
)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_chapter_holds_for_every_seed(seed):
    cells = nbformat.read(CHAPTER, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert sum(cell.source.count(SETTING) for cell in code) == 1
    names = {"__name__": "__main__"}
    for cell in code:
        if "bootstrap" not in cell.metadata.get("tags", []):
            source = cell.source.replace(SETTING, f"STEPS, SEED = 360, {seed}")
            exec(compile(source, cell.id, "exec"), names)
    assert names["SEED"] == seed
    assert len(names["scores"]) == 5
