"""Where PyTorch computes, on machines that have a GPU or not: what is not there is made believe."""

import sys
from pathlib import Path

import pytest
import torch

from lib import device as module
from lib.device import SWITCH, device, room_for

STAND_IN = Path(__file__).parent / "colab" / "stand_in"


@pytest.fixture
def gpus(monkeypatch):
    """``gpus(cuda=…, mps=…)`` makes PyTorch say that there is one."""

    def there(*, cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return there


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ({"cuda": True}, "cuda"),
        ({"cuda": True, "mps": True}, "cuda"),
        ({"mps": True}, "mps"),
        ({}, "cpu"),
    ],
)
def test_the_device_is_the_gpu_that_there_is(gpus, there, name, capsys):
    gpus(**there)
    assert device() == name
    assert capsys.readouterr().out == ""  # outside of Colab nothing is said


def test_on_colab_a_runtime_without_a_gpu_is_told_how_to_switch(
    gpus, monkeypatch, capsys
):
    monkeypatch.setattr(module, "_on_colab", lambda: True)
    gpus(cuda=True)
    assert device() == "cuda"
    assert capsys.readouterr().out == ""
    gpus()
    assert device() == "cpu"
    assert capsys.readouterr().out == f"{SWITCH}\n"
    assert "Runtime → Change runtime type" in SWITCH


def test_colab_is_told_from_other_places(monkeypatch):
    assert not module._on_colab()
    monkeypatch.syspath_prepend(STAND_IN)
    monkeypatch.delitem(sys.modules, "google", raising=False)
    assert module._on_colab()
    monkeypatch.delitem(sys.modules, "google", raising=False)


def test_a_size_beyond_the_memory_names_the_size_to_try():
    with (
        pytest.raises(MemoryError, match=r"N = 4,096 does not .* Try N = 2,048"),
        room_for("N", 4096),
    ):
        torch.empty(2**62, dtype=torch.uint8)  # four exbibytes
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB")
    with pytest.raises(MemoryError, match="Try N = 5"), room_for("N", 10):
        raise full


def test_another_error_passes_as_it_is():
    with pytest.raises(RuntimeError, match="shapes"), room_for("N", 4096):
        raise RuntimeError("shapes do not fit")
    with room_for("N", 4096):
        pass
