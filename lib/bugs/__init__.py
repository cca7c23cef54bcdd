"""The zoo: masking bugs that people really wrote, each as a small function (page *Bug zoo* of the book).

>>> from lib.bugs import ZOO
>>> zeroed = ZOO["zeroed_scores"]
>>> zeroed.verdict
('leaks',)
>>> print(zeroed.code)
def zeroed_scores(q, k, v):
    masked = np.where(causal.dense(len(q)), scores(q, k), 0)
    return softmax(masked) @ v

`ZOO` maps the name of each function to its `Bug`: the function, the setting in which it lives and a correct function
for it, the story, the tell-tale, a public thread. The verdict is computed by `lib.probe`, each time it is asked for;
what a tell-tale says is run by the test of the bug's name in `tests/test_symptoms.py`.
"""

from lib.bugs import (
    applying,
    around,
    batches,
    empty_rows,
    pairs,
    selection,
    served,
    steps,
)
from lib.bugs.exhibit import VERDICTS, Bug, Setting, exhibits

GROUPS = (pairs, applying, empty_rows, batches, steps, served, selection, around)
ZOO: dict[str, Bug] = {bug.slug: bug for group in GROUPS for bug in exhibits(group)}

__all__ = ["GROUPS", "VERDICTS", "ZOO", "Bug", "Setting", "exhibits"]
