"""The probes accuse nothing correct: every implementation, random small models, models of `transformers`."""

import copy

import numpy as np
import pytest
import torch
from probe_cases import CASES, KINDS, N, blocked, case, random_input
from torch import nn
from torch.nn.attention import flex_attention as flex

from lib import numpy_attention, torch_attention
from lib.masks import causal
from lib.probe import causality_probe, decoding_probe, prefix_probe


def one_scale(case):
    """Options for a quick probe: one scale, now one and now the other."""
    return {"seeds": (0,), "scales": (10.0 ** (case // 2 % 2),)}


def test_the_correct_cases_are_at_least_a_thousand():
    assert len(KINDS) * CASES >= 1000


@pytest.mark.parametrize(("name", "dtype"), KINDS)
def test_nothing_correct_is_accused(name, dtype):
    for seed in range(CASES):
        f, x, mask, module = case(name, dtype, seed)
        found = causality_probe(f, x, mask=mask, module=module, **one_scale(seed))
        assert found.causal, f"case {seed}: {found}"
        assert found.matrix[0, 0] > 0  # and it does see that outputs move


@pytest.mark.parametrize(("name", "dtype"), [k for k in KINDS if k[1] != "bfloat16"])
def test_no_correct_function_of_a_prefix_is_accused(name, dtype):
    for seed in range(0, CASES, 4):
        f, x, _, module = case(name, dtype, seed)
        found = prefix_probe(f, x, module=module)
        assert found.causal, f"case {seed}: {found}"


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_flex_attention_is_not_accused(dtype):
    table = flex.create_block_mask(causal, 1, 1, N, N, device="cpu")
    x = torch.tensor(random_input(0, (1, 2, N, 16))).to(getattr(torch, dtype))
    found = causality_probe(
        lambda x: flex.flex_attention(x, x, x, block_mask=table), x, **one_scale(2)
    )
    assert found.causal, str(found)
    assert found.matrix[0, 0] > 0


# ---- Random small models ----


def small_model(trial):
    """A random causal model in float32, its input, and the number of its ids (None for floats).

    Every other one shifts right inside, so that output 0 reads nothing but <start>.
    """
    draw = np.random.default_rng(trial)
    n, vocabulary, d = draw.integers(1, 17), int(draw.integers(2, 51)), 8
    table = draw.normal(size=(vocabulary, d)).astype(np.float32)
    start = draw.normal(size=(1, d)).astype(np.float32)
    weights = draw.normal(size=(4, d, d)).astype(np.float32) / d**0.5
    head = draw.normal(size=(d, int(draw.integers(1, 7)))).astype(np.float32)
    ids, shifted, in_torch = (bool(trial >> bit & 1) for bit in range(3))
    if in_torch:
        table, start, weights, head = map(torch.tensor, (table, start, weights, head))
    attention = (torch_attention if in_torch else numpy_attention).attention
    join = torch.cat if in_torch else np.concatenate

    def model(x):
        hidden = table[x] if ids else x
        if shifted:
            hidden = join([start, hidden])[:-1]
        w_q, w_k, w_v, w_o = weights
        q, k, v = hidden @ w_q, hidden @ w_k, hidden @ w_v
        return (hidden + attention(q, k, v, causal) @ w_o) @ head

    x = draw.integers(vocabulary, size=n) if ids else draw.normal(size=(n, d))
    x = x if ids else x.astype(np.float32)
    return model, torch.tensor(x) if in_torch else x, vocabulary if ids else None


def assert_clear(found, x):
    assert not found.leaks, str(found)
    assert found.causal == (len(x) > 1), str(found)


@pytest.mark.parametrize("part", range(4))
def test_no_random_model_is_accused_for_its_prefixes(part):
    """A tolerance relative to nothing, where all numbers left are constant, took rounding for a leak."""
    for trial in range(250 * part, 250 * part + 250):
        model, x, _ = small_model(trial)
        assert_clear(prefix_probe(model, x), x)


def test_no_random_model_is_accused_of_a_leak():
    for trial in range(0, 1000, 10):
        model, x, vocabulary = small_model(trial + trial // 10 % 8)
        found = causality_probe(model, x, vocabulary=vocabulary, **one_scale(trial))
        assert_clear(found, x)


# ---- Half precision inside ----


class BfloatInside(nn.Module):
    """bfloat16 in all layers, float32 outside."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).bfloat16()

    def forward(self, x):
        return self.layer(x.bfloat16(), src_mask=blocked(x)).float()


def under_autocast(x):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return layer(x, src_mask=blocked(x)).float()


@pytest.mark.parametrize("f", [BfloatInside(), under_autocast])
def test_half_precision_inside_is_named_and_not_accused(f):
    for seed in range(4):
        x = torch.tensor(random_input(seed, (2, 12, 16))).float()
        for found in (prefix_probe(f, x), causality_probe(f, x, **one_scale(seed))):
            assert found.causal, str(found)
            assert found.taken.inside == "bfloat16"
            assert "It computes in bfloat16 inside, so up to 4 % of an" in str(found)


def test_constants_in_another_dtype_are_no_precision():
    x = torch.tensor(random_input())
    found = causality_probe(
        lambda x: x * torch.ones(N, 1, dtype=torch.bfloat16).double(), x
    )
    assert found.taken.inside == ""


# ---- Models of transformers ----

SMALL = {
    "vocab_size": 31, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["Llama", "Mistral", "Qwen2", "GPT2", "GPTNeoX", "OPT", "Phi"]
)
def test_models_of_transformers_are_not_accused(name):
    transformers = pytest.importorskip(
        "transformers", reason="an extra: pip install -e '.[peers]'"
    )
    more = {"ffn_dim": 32, "word_embed_proj_dim": 16} if name == "OPT" else {}
    config = getattr(transformers, f"{name}Config")(**SMALL, **more)
    if name == "Mistral":
        config.sliding_window = 3
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    f = lambda ids: model(ids).logits  # noqa: E731
    ids = torch.randint(3, 31, (2, 8))
    with torch.no_grad():  # a past with gradients cannot be copied
        results = (
            causality_probe(f, ids, module=model, vocabulary=31, seeds=(0,)),
            prefix_probe(f, ids, module=model),
            decoding_probe(f, with_past(model), ids, module=model, fork=copy.deepcopy),
        )
    for found in results:
        assert found.causal, str(found)


def with_past(model):
    def step(ids, past):
        out = model(ids, past_key_values=past, use_cache=True)
        return out.logits, out.past_key_values

    return step
