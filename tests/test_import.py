"""The textbook's NumPy modules must not pull in PyTorch or the plotting library."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "lib",
        "lib.examples",
        "lib.readings.arguments",
        "lib.readings.diagonals",
        "lib.readings.shapes",
        "lib.readings.symbols",
        "lib.tiles",
        "lib.masks",
        "lib.numpy_attention",
        "lib.probe",
        "lib.bugs",
    ],
)
def test_import_is_light(module):
    program = f"import sys, {module}; print(sorted({{'torch', 'matplotlib', '{module}'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str([module])
