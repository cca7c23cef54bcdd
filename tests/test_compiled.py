"""Compiling the loops: what is compiled when, what happens where it cannot be, and who may trace the calls.

That they compute the right thing, in every way of cutting, is tested in tests/test_tiled.py.
"""

import math
import os
import warnings

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from lib import compiled
from lib.masks import causal, offsets, sink, strided, window
from lib.torch_attention import attention

pytestmark = pytest.mark.skipif(
    compiled.library(torch.float32) is None,
    reason=f"no C++ compiler: {compiled.compiler_name()} was not found",
)
MASKS = {
    "band": causal & window(40),
    "tiles": causal & (window(9) | sink(4)),
    "band and tiles": causal & (window(50) | sink(4)),
    "band and residues": causal & (window(40) | strided(7)),
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Nothing is compiled yet, and the cache is an empty folder, which is returned."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled._library.cache_clear()
    yield tmp_path
    compiled._library.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    """How often compiled code was called, in a list of that length."""
    noted, run = [], compiled._run

    def noting(*arguments):
        noted.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(compiled, "_run", noting)
    return noted


def tensors(d=8, d_v=5, n=203, heads=2, key_heads=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = (heads, n, d), (key_heads, n, d), (key_heads, n, d_v)
    return [
        torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()
        for shape in shapes
    ]


def with_gradients(q, k, v, mask, backend="tiled", **options):
    output = attention(q, k, v, mask, backend=backend, **options)
    slopes = torch.linspace(-1, 1, output.numel(), dtype=output.dtype)
    gradients = torch.autograd.grad(output, (q, k, v), slopes.view_as(output))
    return [output.detach(), *gradients]


def assert_right(qkv, mask, **tolerance):
    found = with_gradients(*qkv, mask)
    exact = with_gradients(
        *(x.detach().double().requires_grad_() for x in qkv), mask, "dense"
    )
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, **tolerance)


@every_mask
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_compiled_loops_compute_bands_and_tiles(mask, dtype, calls):
    with_gradients(*tensors(dtype=dtype), mask)
    assert calls


@pytest.mark.parametrize(
    ("mask", "features"),
    [(offsets({0, 1, 5}), 8), (MASKS["band"], compiled.FEATURES + 1)],
    ids=["diagonals", "more features than fit"],
)
def test_what_the_compiled_loops_do_not_know_is_left_to_the_others(
    mask, features, calls
):
    assert_right(tensors(features, features), mask, atol=1e-12, rtol=1e-10)
    assert not calls


@every_mask
@pytest.mark.parametrize(
    ("d", "d_v"), [(1, 1), (3, 16), (16, 7), (17, 33), (32, 8), (48, 80), (64, 256)]
)
def test_any_number_of_features(mask, d, d_v, calls):
    """Two registers, one, and what fills none, in either precision."""
    assert_right(tensors(d, d_v), mask, atol=1e-11, rtol=1e-9)
    qkv = tensors(d, d_v, dtype=torch.float32)
    assert_right(qkv, mask, atol=3e-5, rtol=1e-5)
    assert calls


@every_mask
def test_processors_with_narrower_registers(mask, fresh, monkeypatch, calls):
    """Compiled for any processor of this kind instead of this one."""
    options = tuple(x for x in compiled.OPTIONS if x != "-march=native")
    monkeypatch.setattr(compiled, "OPTIONS", options)
    assert_right(tensors(40, 20), mask, atol=1e-12, rtol=1e-10)
    assert calls


@every_mask
@pytest.mark.parametrize(("heads", "key_heads"), [(1, 1), (4, 2), (5, 5)])
def test_threads_change_nothing(mask, heads, key_heads):
    qkv = tensors(heads=heads, key_heads=key_heads)
    before, found = torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            found[threads] = with_gradients(*qkv, mask, enable_gqa=True)
    finally:
        torch.set_num_threads(before)
    for threads in (2, 3, 8):
        for one, other in zip(found[1], found[threads], strict=True):
            assert torch.equal(one, other)


def test_what_goes_wrong_in_a_thread_is_not_lost(monkeypatch):
    def failing(*_):
        raise ValueError("in a thread")

    monkeypatch.setattr(compiled, "_run", failing)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with pytest.raises(ValueError, match="in a thread"):
                attention(*tensors(), MASKS["band"], backend="tiled")
    finally:
        torch.set_num_threads(before)


def test_scores_that_leave_nothing_of_others():
    """Weights down to 2^-300 are 0 or nearly so, those in between exact; NaN reaches the rows that read it."""
    q = torch.zeros(1, 64, 1)
    q[:, :, 0] = 1
    k = -torch.arange(64.0).reshape(1, 64, 1) * 3
    v = torch.eye(64)[None]
    weights = attention(q, k, v, causal & window(64), backend="tiled", scale=1)
    wanted = attention(
        q.double(), k.double(), v.double(), causal, backend="dense", scale=1
    )
    assert (weights.double() - wanted).abs().max() < 1e-7
    k[0, 40] = math.nan
    poisoned = attention(q, k, v, causal & window(64), backend="tiled", scale=1)
    assert poisoned[0, 40:].isnan().all()
    assert torch.equal(poisoned[0, :40], weights[0, :40])


def test_the_loops_are_compiled_once(fresh, monkeypatch):
    commands, output = [], compiled._output

    def noting(command):
        commands.append(command)
        return output(command)

    monkeypatch.setattr(compiled, "_output", noting)
    assert compiled.library(torch.float32) is compiled.library(torch.float32)
    [file] = (fresh / "masking-the-future").iterdir()
    assert sum(str(compiled.SOURCE) in command for command in commands) == 1
    compiled._library.cache_clear()  # as in a new process
    compiled.library(torch.float32)
    assert sum(str(compiled.SOURCE) in command for command in commands) == 1
    compiled.library(torch.float64)
    assert len(list(file.parent.iterdir())) == 2


def test_another_source_is_compiled_anew(fresh, tmp_path, monkeypatch):
    first = compiled.library(torch.float32)
    changed = tmp_path / "changed.cpp"
    changed.write_text(compiled.SOURCE.read_text() + "/* changed */\n")
    monkeypatch.setattr(compiled, "SOURCE", changed)
    compiled._library.cache_clear()
    assert compiled.library(torch.float32)._name != first._name


@pytest.mark.parametrize("setting", ["PATH", "CXX"])
def test_without_a_compiler_the_others_compute_the_same(
    fresh, monkeypatch, calls, setting
):
    monkeypatch.setenv(setting, "nowhere")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_right(tensors(), MASKS["band and tiles"], atol=1e-12, rtol=1e-10)
    assert not calls
    assert list(fresh.iterdir()) == []


def test_a_compiler_that_fails_is_told_of(fresh, monkeypatch, calls):
    failing = fresh / "failing"
    failing.write_text("#!/bin/sh\necho no such option >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("CXX", str(failing))
    with pytest.warns(RuntimeWarning, match=r"failing could not compile.*such option"):
        assert_right(tensors(), MASKS["band"], atol=1e-12, rtol=1e-10)
    assert not calls


def test_a_cache_that_cannot_be_written_is_told_of(fresh, monkeypatch, calls):
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    with pytest.warns(RuntimeWarning, match=r"could not compile.*Not a directory"):
        assert_right(tensors(), MASKS["band"], atol=1e-12, rtol=1e-10)
    assert not calls


@every_mask
def test_a_traced_program_holds_the_calls(mask):
    """Otherwise it would return memory that nobody has written."""
    qkv = [x.detach() for x in tensors()]
    traced = make_fx(lambda *qkv: 2 * attention(*qkv, mask, backend="tiled"))(*qkv)
    other = [x.flip(1) for x in qkv]
    wanted = 2 * attention(*other, mask, backend="tiled")
    assert torch.equal(traced(*other), wanted)


@pytest.mark.parametrize("pass_", ["forward", "backward"])
def test_pytorch_is_told_what_the_calls_write(pass_, monkeypatch):
    """What opcheck checks: that nothing else is written, and that tensors without numbers are taken."""
    noted = []
    operation = getattr(compiled, f"_{pass_}")
    monkeypatch.setattr(
        compiled, f"_{pass_}", lambda *x: noted.append(x) or operation(*x)
    )
    with_gradients(*tensors(), MASKS["band and residues"])
    assert len(noted) == 2
    for arguments in noted:
        detached = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments]
        torch.library.opcheck(
            operation, tuple(detached), test_utils=("test_schema", "test_faketensor")
        )
