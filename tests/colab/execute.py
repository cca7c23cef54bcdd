"""Run one notebook as Colab does; used by run.py, with the Python of the environment that stands in for Colab.

The course is not installed there: the notebook's own bootstrap cell has to do it.
"""

import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def main(path: str) -> str | None:
    """Execute the notebook; what went wrong, in words that name the cell."""
    notebook = nbformat.read(path, 4)
    running = []
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        on_cell_start=lambda cell, cell_index: running.append(cell.id),
    )
    try:
        client.execute()
    except CellControlSignal as error:
        return f"cell {running[-1]!r} failed:\n{error}"
    for cell in notebook.cells:
        slider = cell.cell_type == "code" and cell.source.startswith("explore(")
        if slider and not any(
            WIDGET_VIEW in output.get("data", {}) for output in cell.outputs
        ):
            return f"cell {cell.id!r} calls explore but shows no widget"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
