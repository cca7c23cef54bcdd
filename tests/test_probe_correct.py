"""The probes accuse nothing correct: every implementation, random small models, models of `transformers`."""

import pytest
import torch
from probe_cases import CASES, KINDS, N, case, random_input
from torch.nn.attention import flex_attention as flex

from lib.masks import causal
from lib.probe import causality_probe, prefix_probe


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
