"""What skips pairs can be differentiated again, mapped and transformed, as the dense page of the book can."""

import pytest
import torch

from lib.engine import tiled
from lib.engine.cutting import plan
from lib.masks import causal, padding, sink, window
from lib.torch_attention import attention, choose_backend

MASK = causal & (window(3) | sink(1))
EMPTY_ROWS = window(4) & ~causal  # the last query has no key
ROWS = causal & window(3) & padding([5, 2])


def qkv(n, leading=(2, 2), key_heads=None, dtype=torch.float64):
    random = torch.Generator().manual_seed(n)
    of_keys = leading if key_heads is None else (*leading[:-1], key_heads)
    shapes = (*leading, n, 2), (*of_keys, n, 2), (*of_keys, n, 3)
    return tuple(
        torch.randn(shape, generator=random, dtype=dtype, requires_grad=True)
        for shape in shapes
    )


def penalty(backend, x, mask, **options):
    """The gradient of a penalty on the gradients, as in training with a gradient penalty."""
    output = attention(*x, mask, backend=backend, **options)
    first = torch.autograd.grad((output**2).sum(), x, create_graph=True)
    return torch.autograd.grad(sum((g**2).sum() for g in first), x)


@pytest.mark.parametrize("mask", [MASK, EMPTY_ROWS, ROWS], ids=repr)
@pytest.mark.parametrize("n", [5, 131])
def test_second_derivatives_are_those_of_the_page(mask, n):
    x = qkv(n)
    for ours, page in zip(
        penalty("tiled", x, mask), penalty("dense", x, mask), strict=True
    ):
        assert page.abs().max() > 0.1
        torch.testing.assert_close(ours, page)


def test_second_derivatives_of_grouped_heads_and_of_those_asked_for():
    q, k, v = x = qkv(6, (1, 4), key_heads=2)
    for ours, page in zip(
        penalty("tiled", x, MASK, enable_gqa=True),
        penalty("dense", x, MASK, enable_gqa=True),
        strict=True,
    ):
        torch.testing.assert_close(ours, page)

    def of_keys(k):
        return attention(
            q.detach(), k, v.detach(), MASK, backend="tiled", enable_gqa=True
        )

    assert torch.autograd.gradgradcheck(of_keys, (k,), fast_mode=True)


def test_second_derivatives_where_auto_skips():
    assert choose_backend(MASK, 1100).backend == "tiled"
    x = qkv(1100, (1,), dtype=torch.float32)
    for ours, page in zip(
        penalty("auto", x, MASK), penalty("dense", x, MASK), strict=True
    ):
        torch.testing.assert_close(ours, page, rtol=1e-3, atol=1e-3)


def test_first_derivatives_never_look_at_all_pairs(monkeypatch):
    def refuse(*_):
        raise AssertionError("all pairs")

    monkeypatch.setattr(tiled, "_over_all_pairs", refuse)
    x = qkv(9)

    def loss(q):
        return (attention(q, *x[1:], MASK, backend="tiled") ** 2).sum()

    torch.autograd.grad(loss(x[0]), x)
    torch.autograd.grad(loss(x[0]), x, create_graph=True)
    torch.func.grad(loss)(x[0])
    torch.vmap(torch.func.grad(lambda q: loss(q[None])))(x[0])
    with pytest.raises(AssertionError, match="all pairs"):
        penalty("tiled", x, MASK)


# What works for a few tokens works for many, where "auto" skips.
LENGTHS = pytest.mark.parametrize(
    ("backend", "n"), [("tiled", 7), ("auto", 7), ("auto", 1100)]
)


def assert_as_dense(transformed, x, backend, mask=MASK):
    """`transformed(f)` of the arguments is the same for both forms of attention, f(q, k, v)."""
    ours, page = (
        transformed(lambda *x, b=b: attention(*x, mask, backend=b))(*x)
        for b in (backend, "dense")
    )
    torch.testing.assert_close(ours, page)


@LENGTHS
def test_attention_can_be_mapped(backend, n):
    x = [y.detach() for y in qkv(n, (3, 2))]
    assert_as_dense(torch.vmap, x, backend)
    shared_keys = [x[0], x[1][0], x[2][0]]
    assert_as_dense(lambda f: torch.vmap(f, (0, None, None)), shared_keys, backend)
    assert_as_dense(lambda f: torch.vmap(f, 1, 1), x, backend)
    assert_as_dense(lambda f: torch.vmap(torch.vmap(f)), x, backend)


@LENGTHS
def test_attention_can_be_transformed(backend, n):
    x = [y.detach() for y in qkv(n, (2,))]

    def gradients(f):
        return torch.func.grad(lambda *x: (f(*x) ** 2).sum(), (0, 1, 2))

    assert_as_dense(gradients, x, backend)
    assert_as_dense(lambda f: torch.vmap(gradients(f)), x, backend)  # of each sample
    tangents = tuple(y.flip(-2) for y in x)
    assert_as_dense(lambda f: lambda *x: torch.func.jvp(f, x, tangents), x, backend)


def test_a_change_of_the_keys_alone_moves_the_outputs_as_the_page_says():
    q, k, v = (y.detach() for y in qkv(7))

    def changed(f):
        return lambda k: torch.func.jvp(lambda k: f(q, k, v), (k,), (k.flip(-2),))

    assert_as_dense(changed, (k,), "tiled")


def test_what_is_mapped_over_may_stand_on_any_axis():
    x = [y.detach() for y in qkv(128, (2, 3))]
    same = plan(MASK, 128, 128, None, x[0].device), 0.5, None

    def outputs(*x):
        return tiled.OverPieces.apply(*x, *same)[0]

    moved = torch.vmap(outputs, 1)(*(y.movedim(0, 1) for y in x))
    torch.testing.assert_close(moved, torch.stack([*map(outputs, *x)]))
