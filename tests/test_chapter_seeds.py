"""What chapters 06 to 08 claim of their small models holds for three seeds: their own cells, with their assertions, run
for each.

A notebook shows one seed. A run takes most of a minute, so this is for `make test-all`.
"""

import os
import re

import nbformat
import pytest
from book_building import ROOT

SEEDS = (0, 1, 2)
# Of chapter 07: what trains, and what says what must hold of it.
TRAINING_OF_07 = (
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
    reason="trains about ten models for each seed; `make test-all` runs it",
)


def run(chapter: str, seed: int, cells: tuple[str, ...] = (), last: str = "") -> dict:
    """The names of a chapter after its cells have run with another seed.

    All of them; or those with these ids; or those up to the one with the id `last`.
    """
    notebook = nbformat.read(ROOT / f"notebooks/{chapter}.ipynb", as_version=4)
    names = {"__name__": "__main__"}
    for cell in notebook.cells:
        wanted = cell.id in cells if cells else cell.id != "bootstrap"
        if cell.cell_type == "code" and wanted:
            exec(compile(with_seed(cell.source, seed), cell.id, "exec"), names)
        if cell.id == last:
            break
    assert names["SEED"] == seed
    return names


def with_seed(source: str, seed: int) -> str:
    """The source with another value for SEED, where it sets two values in one line: ``STEPS, SEED = 120, 0``."""
    source = re.sub(r"^(STEPS, SEED = \d+, )\d+", rf"\g<1>{seed}", source, flags=re.M)
    return re.sub(r"^(SEED, STEPS = )\d+", rf"\g<1>{seed}", source, flags=re.M)


@pytest.mark.parametrize("seed", SEEDS)
def test_five_answers_to_what_stands_to_the_right(seed):
    assert len(run("06_between_the_two", seed)["scores"]) == 5


def test_the_slow_form_is_learned_with_more_steps():
    names = run("06_between_the_two", 0, last="texts")
    blanks_first = names["partial"](
        names["texts"], lambda blanks, facts: [blanks, facts]
    )
    model = names["Decoder"](names["vocabulary"], seed=0)
    setting = {"batch": 64, "seed": 0, "until": 0.05}
    names["train"](model, names["causal"], blanks_first, steps=2000, **setting)
    test = blanks_first(2000, generator=names["drawer"](7))
    assert names["parallel"](model, names["causal"], test).accuracy > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cliff_and_the_relay(seed):
    names = run("07_long_sequence_masks", seed, TRAINING_OF_07)
    assert len(names["found"]) == 3  # pairs of a window and a number of layers
    assert len(names["shares"]) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_choices_leaks_and_learned_spans(seed):
    names = run("08_adaptive_masks", seed)
    assert len(names["right"]) == 4
    # The learned spans: just beyond the facts, or stuck where the ramp showed too few.
    assert len(names["reaches"]) == 4
