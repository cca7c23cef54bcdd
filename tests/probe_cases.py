"""What the tests of the probes share: inputs, and correct layers of every kind."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lib import numpy_attention, torch_attention
from lib.masks import causal, document, offsets, prefix, window

N, D = 5, 4

MASKS = [
    causal,
    causal & window(2),
    causal & (offsets({0, 3}) | prefix(1)),
    causal & document([0, 0, 1, 1, 1]),
]


def random_input(seed=0, shape=(N, D)):
    return np.random.default_rng(seed).normal(size=shape)


@dataclass
class Correct:
    """A way to build a correct layer: `build(seed, mask)` gives (f, module or None)."""

    build: Callable
    dtypes: tuple[str, ...]
    shape: tuple[int, ...] = (N, D)
    masks: bool = False  # does it take any mask, or is it causal by itself?


def numpy_layer(attention):
    def build(seed, mask, dtype):
        w_q, w_k, w_v = random_input(seed, (3, D, D)).astype(dtype)
        return (lambda x: attention(x @ w_q, x @ w_k, x @ w_v, mask)), None

    return build


def torch_layer(attention):
    def build(seed, mask, dtype):
        w_q, w_k, w_v = torch.tensor(random_input(seed, (3, D, D))).to(
            getattr(torch, dtype)
        )
        return (lambda x: attention(x @ w_q, x @ w_k, x @ w_v, mask)), None

    return build


def backend(name):
    return torch_layer(
        lambda q, k, v, mask: torch_attention.attention(q, k, v, mask, backend=name)
    )


def of_a_module(make, call, modes=False):
    def build(seed, mask, dtype):
        torch.manual_seed(seed)
        module = make().to(getattr(torch, dtype))
        return (lambda x: call(module, x)), module if modes else None

    return build


def blocked(x):
    """The future for PyTorch's modules, in which True is blocked."""
    return torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)


def causal_convolution(module, x):
    return module(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)


def fourier_convolution(module, x):
    """A causal filter as a product of spectra: its rounding errors spread over the whole sequence."""
    kernel = module.weight[:, 0, :].T  # (3, D)
    n = 2 * x.shape[1] + 3
    spectrum = torch.fft.rfft(x, n=n, dim=1) * torch.fft.rfft(kernel, n=n, dim=0)
    return torch.fft.irfft(spectrum, n=n, dim=1)[:, : x.shape[1]]


ALL = ("float16", "bfloat16", "float32", "float64")
BATCHED = (2, N, D)
# One line for each implementation.
CORRECT = {
    "NumPy": Correct(
        numpy_layer(numpy_attention.attention), ALL[:1] + ALL[2:], masks=True
    ),
    "dense": Correct(backend("dense"), ALL, BATCHED, masks=True),
    "sdpa": Correct(backend("sdpa"), ALL, BATCHED, masks=True),
    "tiled": Correct(backend("tiled"), ALL, BATCHED, masks=True),
    "NumPy tiled": Correct(
        numpy_layer(partial(numpy_attention.tiled_attention, tile=2)),
        ("float16", "float32", "float64"),
        masks=True,
    ),
    "F.sdpa is_causal": Correct(
        torch_layer(
            lambda q, k, v, _: F.scaled_dot_product_attention(q, k, v, is_causal=True)
        ),
        ALL,
        BATCHED,
    ),
    "nn.MultiheadAttention": Correct(
        of_a_module(
            lambda: nn.MultiheadAttention(D, 2, dropout=0.3, batch_first=True),
            lambda m, x: m(x, x, x, attn_mask=blocked(x), need_weights=False)[0],
            modes=True,
        ),
        ("float32", "float64"),
        BATCHED,
    ),
    "nn.TransformerEncoderLayer": Correct(
        of_a_module(
            lambda: nn.TransformerEncoderLayer(D, 2, 8, dropout=0.3, batch_first=True),
            lambda m, x: m(x, src_mask=blocked(x), is_causal=True),
            modes=True,
        ),
        ("float32", "float64"),
        BATCHED,
    ),
    "nn.GRU": Correct(
        of_a_module(lambda: nn.GRU(D, 6, batch_first=True), lambda m, x: m(x)[0]),
        ("float32", "float64"),
        BATCHED,
    ),
    "nn.RNN": Correct(
        of_a_module(lambda: nn.RNN(D, 6, batch_first=True), lambda m, x: m(x)[0]),
        ("float32", "float64"),
        BATCHED,
    ),
    "causal convolution": Correct(
        of_a_module(lambda: nn.Conv1d(D, D, 3), causal_convolution), ALL[1:], BATCHED
    ),
    "Fourier convolution": Correct(
        of_a_module(lambda: nn.Conv1d(D, D, 3, groups=D), fourier_convolution),
        ("float32", "float64"),
        BATCHED,
    ),
}
KINDS = [(name, dtype) for name, kind in CORRECT.items() for dtype in kind.dtypes]
CASES = 32


def case(name, dtype, seed):
    kind = CORRECT[name]
    mask = MASKS[seed % len(MASKS)] if kind.masks else causal
    x = 10.0 ** (seed % 3 - 1) * random_input(seed + 1000, kind.shape)
    is_numpy = name.startswith("NumPy")
    x = x.astype(dtype) if is_numpy else torch.tensor(x).to(getattr(torch, dtype))
    f, module = kind.build(seed, mask, dtype)
    return f, x, mask, module
