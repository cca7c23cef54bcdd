"""The benchmarks run, and they would notice a wrong result. What they measure, no test asserts."""

import importlib.util
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import CASES, FEATURES, HEADS, SCALING, Case, Target
from exactness import attention_error, upstream
from measure import as_step, in_turn, judged, memory
from peers import METHODS
from PIL import Image
from report import Part, doubling, targets, write, wrong

from lib.engine import compiler
from lib.masks import causal, explicit, offsets, window

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(),
    reason="the benchmarks measure memory with Linux's /proc",
)
ROOT = Path(__file__).resolve().parents[1]
N = 300  # not a multiple of any tile
SMALL = Case("small", "window(20)", causal & window(20), ("tiled",), n=N)
BACKWARD = Case(
    "small", "window(20)", causal & window(20), ("tiled",), n=N, kind="backward"
)


# --- a run from end to end --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks") / "new"
    command = [sys.executable, ROOT / "tests/benchmarks/run.py", "--quick"]
    command += ["--rounds", "1", "--date", "2026-01-02", "--out", folder]
    command += ["--only", "window", "window-backward", "map", "scaling"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_run_measures_every_method_or_says_why_not(quick_run):
    data = json.loads((quick_run / "benchmarks.json").read_text())
    timed = {m["case"]: m["result"] for m in data["measured"] if m["job"] == "time"}
    assert set(timed) == {"window", "window-backward", "map"}
    for case in CASES:
        for method in case.methods if case.key in timed else ():
            found = timed[case.key]["methods"][method]
            if METHODS[method].compiled:
                assert (
                    "backward" in found["unavailable"]
                    or "quick" in found["unavailable"]
                )
            elif method == "local-attention" and not installed("local_attention"):
                assert "local-attention is not installed" in found["unavailable"]
            else:
                assert found["seconds"] > 0
                assert found["error"] <= found["limit"]


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def test_a_run_says_what_it_ran_on(quick_run):
    about = json.loads((quick_run / "benchmarks.json").read_text())["about"]
    assert about["date"] == "2026-01-02"
    assert about["quick"] is True
    assert about["versions"]["torch"] == torch.__version__
    assert about["versions"]["numpy"] == np.__version__
    there = shutil.which(compiler.compiler_name()) is not None
    assert (about["versions"]["C++ compiler"] != "none") == there
    assert ("not installed" in about["versions"]["attn-gym"]) != installed("attn_gym")
    page = (quick_run / "benchmarks.md").read_text()
    assert f"2026-01-02; {about['cpu']}, {about['cores']} cores" in page


def test_the_page_has_a_row_for_each_method_and_the_picture(quick_run):
    page = (quick_run / "benchmarks.md").read_text()
    for case in CASES:
        if case.key in ("window", "window-backward", "map"):
            section = page.partition(f"## {case.title}, n =")[2].partition("\n## ")[0]
            rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
            names = [row.split(" | ")[0].removeprefix("| ") for row in rows]
            assert names == [METHODS[method].name for method in case.methods]
            assert {row.count("|") for row in rows} == {8}
    assert "Its numbers mean nothing" in page
    assert "| met |" not in page.partition("## Time and memory")[0]
    for case in SCALING:
        assert f"\n| {case.title} | " in page
    assert "![Time and memory of one call against n, on logarithmic axes. From " in page
    pixels = np.asarray(Image.open(quick_run / "scaling.png").convert("L"))
    assert (pixels < 128).mean() > 0.005


# --- what is right, and what is not -------------------------------------------------------------------


@pytest.mark.parametrize("key", [c.key for c in CASES if c.kind != "map"])
def test_the_inputs_of_each_case_are_answered_right_by_the_course(key):
    case = small_case(key)
    inputs, mask = case.inputs()
    ours = case.methods[0]
    found = judged(case, ours, inputs, mask, as_step(case, ours, inputs, mask))
    assert 0 < found["error"] <= found["limit"] < 1e-4


def small_case(key: str) -> Case:
    [case] = [case for case in CASES if case.key == key]
    return Case(case.key, case.title, case.mask, case.methods, n=N, kind=case.kind,
                heads_choose=case.heads_choose)  # fmt: skip


def answer(case: Case):
    inputs, mask = case.inputs()
    return inputs, mask, as_step(case, "tiled", inputs, mask)()


@pytest.mark.parametrize("row", [0, 64, N - 1])
@pytest.mark.parametrize("change", [1e-4, math.nan])
def test_a_wrong_row_is_noticed(row, change):
    inputs, mask, output = answer(SMALL)
    output[0, 3, row, 5] += change
    error, limit = attention_error(SMALL, inputs, mask, (output,))
    assert error > limit


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_wrong_gradient_is_noticed(number):
    inputs, mask, results = answer(BACKWARD)
    error, limit = attention_error(BACKWARD, inputs, mask, results)
    assert error <= limit
    results[number][0, 2, N - 1] *= 1.001
    error, limit = attention_error(BACKWARD, inputs, mask, results)
    assert error > limit


def test_the_answer_to_another_mask_is_wrong():
    inputs, _, output = answer(SMALL)
    error, limit = attention_error(SMALL, inputs, causal & window(21), (output,))
    assert error > limit


def test_the_reference_is_attention():
    """All rows, and gradients of every input, against the textbook's formula in float64."""
    inputs, mask, (_, *gradients) = answer(BACKWARD)
    q, k, v = (x.detach().double().requires_grad_() for x in inputs)
    forbidden = ~torch.tensor(mask.dense(N))
    scores = (q @ k.mT / math.sqrt(FEATURES)).masked_fill(forbidden, -math.inf)
    output = scores.softmax(-1) @ v
    exact = torch.autograd.grad(output, (q, k, v), upstream(output).double())
    for found, expected in zip(gradients, exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    error, limit = attention_error(BACKWARD, inputs, mask, (output.detach(), *exact))
    assert error < 1e-13 < limit


def test_a_wrong_tile_is_noticed():
    case = small_case("map")
    inputs, mask = case.inputs()
    right = mask.tiles(case.n, size=128)
    assert judged(case, "tile map", inputs, mask, lambda: right)["error"] == 0
    right.states[1, 1] = 0
    right.states[0, 2] = 1
    assert judged(case, "tile map", inputs, mask, lambda: right)["error"] == 2


def test_wrong_results_are_named():
    def result(error):
        return {"error": error, "limit": 2e-6, "seconds": 1.0}

    methods = {"right": result(1e-7), "bad": result(1e-3), "nan": result(math.nan)}
    measured = [
        {"case": "a", "job": "time", "result": {"methods": methods}},
        {"case": "b", "job": "scaling", "result": [result(1.0) | {"n": 64}]},
        {"case": "a", "job": "memory", "result": {"growth": 1}},
    ]
    assert [line.partition(": ")[0] for line in wrong(measured)] == [
        "a, bad",
        "a, nan",
        "b, n = 64",
    ]


# --- what the numbers mean ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_operations_are_those_of_the_allowed_pairs(kind):
    mask = causal & offsets({0, 3, 50})
    case = Case("x", "x", mask, ("tiled",), n=N, kind=kind)
    pairs = np.count_nonzero(mask.dense(N))
    assert (
        case.operations(mask)
        == pairs * HEADS * 4 * FEATURES * {"forward": 1, "backward": 3.5}[kind]
    )


def test_heads_that_choose_count_one_by_one():
    table = np.random.default_rng(0).random((HEADS, N, N)) < 0.1
    case = Case("x", "x", causal, ("tiled",), n=N, heads_choose=True)
    mask = causal & explicit(table)
    assert case.operations(mask) == 4 * FEATURES * np.count_nonzero(mask.dense(N))


def test_methods_take_turns_and_slow_ones_stop_early():
    now, order = 0.0, []

    def takes(name, seconds):
        def call():
            nonlocal now
            now += seconds
            order.append(name)

        return call

    seconds = in_turn(
        {"slow": takes("slow", 6), "fast": takes("fast", 1)}, 4, lambda: now
    )
    assert seconds == {"slow": [6, 6], "fast": [1, 1, 1, 1]}
    assert order == ["slow", "fast"] * 2 + ["fast"] * 2


def test_memory_is_what_a_call_adds_at_its_peak(monkeypatch):
    """64 MiB that are given back before the call ends, and 1 MiB that are returned."""

    def greedy(case, inputs, mask):
        size = 1 if case.n < SMALL.n else 64

        def call():
            torch.ones(size, 2**18)
            return torch.ones(2**18)

        return call

    monkeypatch.setitem(METHODS, "greedy", METHODS["tiled"].__class__("greedy", greedy))
    monkeypatch.setattr("measure.SMALL_N", N - 1)
    growth = memory(SMALL, "greedy")["growth"] / 2**20
    assert 62 < growth < 68


def part(target: Target, seconds: float, growth: int = 0, other: float = 1.0) -> Part:
    case = Case("a", "a", causal, ("tiled", "flex"), (target,))
    checked = {"error": 0.0, "limit": 1.0}
    result = {
        "methods": {
            "tiled": checked | {"seconds": seconds},
            "flex": checked | {"seconds": other},
            "first call": checked | {"seconds": 3 * other},
        },
        "rate": 1e9,
        "operations": 2e9,
    }
    remembered = {"growth": growth, "resident": growth}
    return Part(
        case,
        [
            {"case": "a", "job": "time", "threads": 1, "result": result},
            {"case": "a", "job": "memory", "method": "tiled", "result": remembered},
            {"case": "a", "job": "memory", "method": "flex", "result": remembered},
        ],
    )


@pytest.mark.parametrize(
    ("target", "seconds", "growth", "reached"),
    [
        (Target("limit", 1.5), 3.0, 0, 1.5),  # 2 GFLOP at 1 GFLOP/s
        (Target("flex", 0.5), 0.25, 0, 0.25),
        (Target("first call", 1.3), 2.0, 0, 1.5),  # 3 s beside 2 s
        (Target("ms", 12), 0.012, 0, 12),
        (Target("MiB", 32), 1.0, 33 * 2**20, 33),
        (Target("GiB", 5), 1.0, 5 * 2**30, 5),
    ],
)
def test_targets_are_compared_in_their_unit(target, seconds, growth, reached):
    found = part(target, seconds, growth)
    assert found.reached(target) == pytest.approx(reached)
    row = [*targets([found])][-1]
    assert row.endswith("| met |" if reached <= target.most else "| **missed** |")


def test_time_may_grow_as_much_more_as_the_pairs_do():
    def curves(factor, pairs):
        both = {"handing_out": 0}
        return {"m": [both | {"seconds": 1, "operations": 1, "growth": 1},
                      both | {"seconds": factor, "operations": pairs, "growth": 2}]}  # fmt: skip

    for factor, pairs, verdict in ((2.05, 2, "met"), (2.2, 2, "**missed**"), (3.1, 3, "met"),
                                   (2.05, 1.5, "met"), (3.2, 3, "**missed**")):  # fmt: skip
        assert [*doubling(curves(factor, pairs))][-1].endswith(f"| {verdict} |")


def test_what_the_system_takes_to_hand_out_memory_stands_beside():
    points = [
        {"seconds": 1, "handing_out": 0, "operations": 1, "growth": 1},
        {"seconds": 2.4, "handing_out": 0.5, "operations": 2, "growth": 3},
    ]
    row = [*doubling({"m": points})][-1]
    assert row == "| m | 2.40 | 1.90 | 2.00 | 3.00 | **missed** |"


def test_a_page_without_memory_of_a_method_says_why(tmp_path):
    small = part(Target("MiB", 32), 1.0)
    about = {
        "versions": {},
        "cpu": "",
        "cores": 1,
        "memory_gib": 1,
        "date": "",
        "quick": False,
    }
    [case] = [case for case in CASES if case.key == "numpy"]
    method = case.methods[0]
    measured = [
        {"case": case.key, "job": "time", "threads": 1,
         "result": small.times[1] | {"methods": {method: small.times[1]["methods"]["tiled"]}}},
        {"case": case.key, "job": "memory", "method": method,
         "result": {"unavailable": "not enough memory"}},
    ]  # fmt: skip
    assert write(tmp_path, {"about": about, "measured": measured}) == []
    assert "| not enough memory | 0 (1) |" in (tmp_path / "benchmarks.md").read_text()
