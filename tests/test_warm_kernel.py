"""The kernels of the tests: forks of a process with PyTorch in it, and otherwise like any other."""

import signal
from multiprocessing.forkserver import ensure_running

import pytest
import warm_kernel
from jupyter_client.manager import start_new_kernel
from jupyter_client.provisioning import local_provisioner
from nbformat.v4 import new_code_cell, new_notebook

from lib.authoring.notebooks import execute

pytestmark = pytest.mark.skipif(not warm_kernel.FORKS, reason="forks are for Linux")
ASKED = """
import os, sys
print(os.getcwd(), os.environ["OF_THE_TEST"], __name__)
print([name for name in ("lib", "conftest", "pytest") if name in sys.modules], "torch" in sys.modules)
print([path for path in sys.path if path.endswith("tests")], sys.path[0])
import torch
print(torch.get_num_threads())
"""


def test_it_knows_nothing_of_the_tests_and_all_of_its_surroundings(
    tmp_path, monkeypatch
):
    assert local_provisioner.launch_kernel is warm_kernel.WarmKernel
    ensure_running()  # what is forked does not know the variables yet
    monkeypatch.setenv("OF_THE_TEST", "seen")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "first"))
    notebook = new_notebook(cells=[new_code_cell(ASKED)])
    [output] = execute(notebook, tmp_path).cells[0].outputs
    assert output.text.splitlines() == [
        f"{tmp_path} seen __main__",
        "['pytest'] True",
        f"[] {tmp_path / 'first'}",
        "1",
    ]


def test_it_can_be_interrupted_and_killed_and_its_end_is_noticed():
    manager, client = start_new_kernel()
    try:
        forever = "print('on', flush=True)\nwhile True: pass"
        client.execute(forever, stop_on_error=False)  # or the next cell may be left out
        while client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
            """Until the cell is at work."""
        manager.interrupt_kernel()
        while (told := client.get_iopub_msg(timeout=60))["msg_type"] != "error":
            """Until it is not."""
        assert told["content"]["ename"] == "KeyboardInterrupt"
        assert manager.is_alive()
        manager.provisioner.process.kill()
        assert manager.provisioner.process.wait(60) == -signal.SIGKILL
        assert not manager.is_alive()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
