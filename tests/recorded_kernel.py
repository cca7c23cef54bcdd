"""nbval compares a chapter with the run that this process has made of it already, where there is one.

A chapter may train models, so `make test` runs it once: `live_run.py` asks about its claims and sliders, then nbval
compares each cell with what that run gave. Alone, nbval runs the chapter itself.
"""

from collections.abc import Iterator

from live_run import run_so_far
from nbformat import NotebookNode
from nbval.plugin import IPyNbFile


def lend_run(file: IPyNbFile) -> None:
    """Let nbval, when it comes to this notebook, have the kernel of a run that went well, instead of a fresh one."""
    fresh_kernel = file.setup

    def setup() -> None:
        run = run_so_far(file.path)
        if run is None:
            fresh_kernel()
        else:
            file.kernel = RecordedKernel(run.executed)

    file.setup = setup


class RecordedKernel:
    """Stands in for nbval's kernel and answers, cell after cell, what the cells of `executed` gave."""

    def __init__(self, executed: NotebookNode):
        self._cells = (cell for cell in executed.cells if cell.cell_type == "code")
        self._messages: Iterator[dict] = iter(())

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        """The id of the answers that follow; RuntimeError unless it is the next cell that is asked for."""
        cell = next(self._cells, None)
        if cell is None or cell.source != source:
            raise RuntimeError(f"the run had another cell in the place of {source!r}")
        told = [(output.output_type, output) for output in cell.outputs]
        told.append(("status", {"execution_state": "idle"}))
        self._messages = iter(
            {"msg_type": kind, "content": content, "parent_header": {"msg_id": cell.id}}
            for kind, content in told
        )
        return cell.id

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        return next(self._messages)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """It has answered already."""

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        """There is nothing to stop."""
