"""Compiling the loops: what is compiled when, what happens where it cannot be, and who may trace the calls.

That they compute the right thing, in every way of cutting, is tested in tests/test_tiled.py.
"""

import math
import os
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from lib.engine import compiled, compiler, cutting, spans
from lib.masks import causal, offsets, same_block, sink, strided, window
from lib.torch_attention import attention

pytestmark = pytest.mark.skipif(
    compiler.library(torch.float32) is None,
    reason=f"no C++ compiler: {compiler.compiler_name()} was not found",
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
    """Nothing is compiled yet, and the cache is an empty folder, which is returned.

    What is kept and what fails does not depend on how fast the loops are, so they are compiled fast.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = tuple("-O0" if x == "-O3" else x for x in compiler.OPTIONS)
    monkeypatch.setattr(compiler, "OPTIONS", options)
    forget()
    yield tmp_path
    forget()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder for what the tests of this module compile once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def for_any_processor(cache, monkeypatch):
    """The loops are compiled for any processor of this kind instead of this one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    options = tuple(x for x in compiler.OPTIONS if x != "-march=native")
    monkeypatch.setattr(compiler, "OPTIONS", options)
    forget()
    yield
    forget()


def forget():
    """As a new process, which knows nothing of what an earlier one compiled and where."""
    compiler._library.cache_clear()
    compiler._folder.cache_clear()


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
    [(offsets({0, 1, 5}), 8), (MASKS["band"], compiler.FEATURES + 1)],
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
def test_processors_with_narrower_registers(mask, for_any_processor, calls):
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


def test_threads_do_not_share_what_they_copy_together():
    """Rows far apart, and enough of them that threads meet on a single core too."""
    mask = causal & strided(16)
    q, k, v = (torch.randn(8, 8192, 64) for _ in range(3))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append(attention(q, k, v, mask, backend="tiled"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("mask", "divided"),
    [
        (causal & window(40), True),
        (causal & strided(7) & window(200), True),
        (causal & strided(7) & window(2000), False),
        (causal & same_block(100), True),
        (causal & strided(7), False),
        (causal & (window(9) | sink(4)), False),
    ],
    ids=repr,
)
def test_what_runs_side_by_side_adds_to_different_keys(mask, divided):
    n = 20_000
    [layer] = cutting.plan(mask, n, n, None, torch.device("cpu")).layers
    found = spans.spans_of(layer)
    blocks, of_spans = torch.from_numpy(found.blocks), torch.from_numpy(found.spans)
    groups = compiled._side_by_side(blocks, of_spans, found.step)
    every = torch.cat([part for parts in groups for part in parts])
    assert torch.equal(every[every[:, 0].argsort()], blocks)
    assert (max(map(len, groups)) > 1) == divided
    for parts in groups:
        seen = set()
        for part in parts:
            read = set()
            for _, _, first, last in part.tolist():
                for row, keys, *_ in of_spans[first:last].tolist():
                    read |= {*range(row, row + keys * found.step, found.step)}
            assert not seen & read
            seen |= read


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
    commands, output = [], compiler._output

    def noting(command):
        commands.append(command)
        return output(command)

    monkeypatch.setattr(compiler, "_output", noting)
    assert compiler.library(torch.float32) is compiler.library(torch.float32)
    [file] = (fresh / "masking-the-future").iterdir()
    assert sum(str(compiler.SOURCE) in command for command in commands) == 1
    forget()
    compiler.library(torch.float32)
    assert sum(str(compiler.SOURCE) in command for command in commands) == 1
    compiler.library(torch.float64)
    assert len(list(file.parent.iterdir())) == 2


def test_another_source_is_compiled_anew(fresh, tmp_path, monkeypatch):
    first = compiler.library(torch.float32)
    changed = tmp_path / "changed.cpp"
    changed.write_bytes(compiler.SOURCE.read_bytes() + b"/* changed */\n")
    monkeypatch.setattr(compiler, "SOURCE", changed)
    forget()
    assert compiler.library(torch.float32)._name != first._name


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


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no such option >&2; exit 1", "slower: no such option"),
        ("sleep 20", "timed out"),
        ("exit 0", "No such file"),  # and has compiled nothing
    ],
)
def test_a_compiler_that_fails_is_told_of(fresh, monkeypatch, calls, script, told):
    failing = fresh / "failing"
    failing.write_text(f"#!/bin/sh\n{script}\n")
    failing.chmod(0o755)
    monkeypatch.setenv("CXX", str(failing))
    monkeypatch.setattr(compiler, "SECONDS", 0.5)
    with pytest.warns(RuntimeWarning, match=f"(?s)compiled with .*failing.*{told}"):
        assert_right(tensors(), MASKS["band"], atol=1e-12, rtol=1e-10)
    assert not calls


def nobody_knows():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("cache", ["not a folder", "nobody's"])
def test_where_nothing_can_be_kept_the_loops_are_compiled_all_the_same(
    fresh, monkeypatch, calls, cache
):
    if cache == "nobody's":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(compiler.Path, "home", nobody_knows)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_right(tensors(), MASKS["band"], atol=1e-12, rtol=1e-10)
    assert calls


def test_a_damaged_file_is_made_anew(fresh, monkeypatch, calls):
    compiler.library(torch.float64)
    [file] = (fresh / "masking-the-future").iterdir()
    damaged = fresh / "another cache" / "masking-the-future" / file.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(file.read_bytes()[:4])
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "another cache"))
    forget()
    assert_right(tensors(), MASKS["band"], atol=1e-12, rtol=1e-10)
    assert calls
    assert damaged.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("add", ["forward", "backward"])
def test_small_numbers_are_not_lost_beside_large_sums(add):
    """Thousands of values near 1, or of gradients: no more than three times the error of batched products."""
    n, dtype = 6000, torch.float32
    q, k, noise = (x.detach() for x in tensors(16, 16, n, 1, 1, dtype))
    qkv = [(x / 3).requires_grad_() for x in (q, k)] + [(1 + noise / 10)]
    qkv[2].requires_grad_()
    mask = causal & (window(3000) | sink(64))

    def results(qkv):
        output = attention(*qkv, mask, backend="tiled")
        if add == "forward":
            return [output.detach()]
        return torch.autograd.grad(output.sum(), qkv)

    exact = results([x.detach().double().requires_grad_() for x in qkv])
    found = results(qkv)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "takes", lambda *_: False)
        plain = results(qkv)
    for one, other, truth in zip(found, plain, exact, strict=True):
        allowed = max(3 * (other - truth).abs().max(), 2e-6 * truth.abs().max())
        assert (one - truth).abs().max() <= allowed


@every_mask
@pytest.mark.parametrize("how", ["export", "fake"])
def test_nothing_of_a_trace_stays_behind(mask, how):
    """A mask that is met first while a program is traced is computed as ever afterwards."""
    mask = mask.shift(0) & ~window(2).shift(50) | mask  # met nowhere else
    cutting.plan.cache_clear()
    spans.spans_of.cache_clear()
    qkv = [x.detach() for x in tensors()]

    class Attention(torch.nn.Module):
        def forward(self, *qkv):
            return attention(*qkv, mask, backend="tiled")

    wanted = attention(*qkv, mask, backend="dense")
    if how == "export":
        exported = torch.export.export(Attention(), tuple(qkv))
        torch.testing.assert_close(exported.module()(*qkv), wanted)
    else:
        with FakeTensorMode() as mode:
            fake = Attention()(*(mode.from_tensor(x) for x in qkv))
        assert fake.shape == wanted.shape
    torch.testing.assert_close(Attention()(*qkv), wanted)


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


@pytest.mark.parametrize("backend", ["auto", "dense", "sdpa"])
def test_lengths_that_vary_are_compiled_as_often_as_with_plain_sdpa(backend):
    """Once for the first length, and once for all others."""

    def plain(x):
        i = torch.arange(x.shape[-2])
        difference = i[:, None] - i
        allowed = (difference >= 0) & (difference < 4)
        return F.scaled_dot_product_attention(x, x, x, attn_mask=allowed)

    def ours(x):
        return attention(x, x, x, causal & window(4), backend=backend)

    compilations = []
    for attend in (plain, ours):
        torch._dynamo.reset()
        counter = CompileCounter()
        compiled_attend = torch.compile(attend, backend=counter)
        for n in (7, 9, 12, 30):
            x = torch.randn(1, 2, n, 8)
            torch.testing.assert_close(compiled_attend(x), plain(x))
        compilations.append(counter.frame_count)
    torch._dynamo.reset()
    assert compilations == [2, 2]
