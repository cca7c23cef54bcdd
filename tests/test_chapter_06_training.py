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


def run(seed: int, last: str | None = None) -> dict:
    """The names of the chapter after its cells, up to the one with the id `last`, have run with another seed."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    names = {"__name__": "__main__"}
    for cell in cells:
        if cell.cell_type == "code" and cell.id != "bootstrap":
            source = cell.source.replace(SETTING, f"STEPS, SEED = 360, {seed}")
            exec(compile(source, cell.id, "exec"), names)
        if cell.id == last:
            break
    assert names["SEED"] == seed
    return names


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_chapter_holds_for_every_seed(seed):
    assert len(run(seed)["scores"]) == 5


def test_the_slow_form_is_learned_with_more_steps():
    names = run(0, last="texts")
    blanks_first = names["partial"](
        names["texts"], lambda blanks, facts: [blanks, facts]
    )
    model = names["Decoder"](names["vocabulary"], seed=0)
    setting = {"batch": 64, "seed": 0, "until": 0.05}
    names["train"](model, names["causal"], blanks_first, steps=2000, **setting)
    test = blanks_first(2000, generator=names["drawer"](7))
    assert names["parallel"](model, names["causal"], test).accuracy > 0.95
