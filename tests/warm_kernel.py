"""Kernels that start warm: forks of a process that has imported PyTorch and IPython, but nothing of the course.

A kernel takes a second to start, and PyTorch in it three more; the tests start some fifty. Kernels of `make book` and
`make colab` start cold, as a reader's do.
"""

import json
import os
import signal
import subprocess
import sys
from functools import cache

from jupyter_client.provisioning import local_provisioner
from mutation.run import FORKS, PROCESSES


def use() -> None:
    """From now on, every kernel that this process starts is warm; where there are no forks nothing changes."""
    if FORKS:
        local_provisioner.launch_kernel = WarmKernel


class WarmKernel:
    """A kernel's process, started with `jupyter_client.launch_kernel`'s arguments, and what Popen would tell of it."""

    stdin = stdout = stderr = None

    def __init__(self, command: list[str], *, env: dict, cwd: str | None = None, **_):
        ready, told = PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(
            target=_become_kernel,
            args=(command, env, cwd, _search_path(env.get("PYTHONPATH", "")), told),
            daemon=True,
        )
        self._process.start()
        told.close()
        ready.recv()  # it has a process group of its own, to which signals may be sent
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _search_path(python_path: str) -> list[str]:
    """Where a new Python with that PYTHONPATH looks for modules."""
    ask = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.path[1:]))"]
    env = os.environ | {"PYTHONPATH": python_path}
    return json.loads(
        subprocess.run(ask, env=env, check=True, capture_output=True).stdout
    )


def _become_kernel(
    command: list[str], env: dict, cwd: str | None, path: list[str], told
) -> None:
    """Turn this process into what `command`, ``python -m ipykernel_launcher -f file``, starts."""
    os.setsid()
    told.send(None)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd or ".")
    sys.path[:] = path
    import torch
    from ipykernel.kernelapp import launch_new_instance

    # The variable is read when PyTorch is loaded, which was earlier.
    torch.set_num_threads(int(env.get("OMP_NUM_THREADS", torch.get_num_threads())))
    launch_new_instance(argv=command[3:], parent_handle=os.getppid())
