"""Run one notebook as Colab does, and compare the text that it shows with what it stores.

Used by run.py, with the Python of the environment that stands in for Colab. The course is not installed there: the
notebook's own bootstrap cell has to do it.
"""

import re
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# What lib.device says on Colab without a GPU, as here. It is not stored, since notebooks are stored elsewhere.
SWITCH = "Runtime → Change runtime type"


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell shows as text, results and printed lines."""
    outputs = cell.get("outputs", [])
    lines = "".join(output.get("text", "") for output in outputs).splitlines(True)
    printed = "".join(line for line in lines if SWITCH not in line)
    shown = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return [text for text in [printed, *shown] if text]


def main(path: str) -> str | None:
    """Execute the notebook; what went wrong, in words that name the cell."""
    notebook = nbformat.read(path, 4)
    stored = {
        cell.id: texts(cell)
        for cell in notebook.cells
        if cell.get("execution_count") and cell.id != "bootstrap"
    }
    running = []
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        on_cell_start=lambda cell, cell_index: running.append(cell.id),
    )
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        return f"cell {running[-1]!r} failed:\n{error}"
    for cell in notebook.cells:
        if texts(cell) != stored.get(cell.id, texts(cell)):
            return f"cell {cell.id!r} shows {texts(cell)}\nand stores {stored[cell.id]}"
        asks = cell.cell_type == "code" and re.search(r"\bdevice\(\)", cell.source)
        if asks and SWITCH not in str(cell.outputs):
            return f"cell {cell.id!r} finds no GPU and does not tell how to switch"
        slider = re.search(r"^explore\(", cell.source, re.MULTILINE)
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        if (
            cell.cell_type == "code"
            and slider
            and not any(WIDGET_VIEW in data for data in shown)
        ):
            return f"cell {cell.id!r} calls explore but shows no widget"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
