"""A window over several processes: the same output, as few bytes as are needed, and sentences where it cannot work."""

import numpy as np
import pytest
import torch

from lib import halo
from lib.halo import attend_in_shards
from lib.masks import causal, window
from lib.numpy_attention import attention

HEADS, N, D = 2, 30, 4


def problem(n=N, d_v=D, dtype=np.float64):
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, HEADS, n, D))
    v = rng.normal(size=(HEADS, n, d_v))
    return [x.astype(dtype) for x in (q, k, v)]


def test_three_processes_compute_what_one_does():
    """Shards of 11, 10 and 10 tokens, the shortest just as long as the halo; values have a width of their own."""
    q, k, v = problem(n=31, d_v=3, dtype=np.float32)
    shared = attend_in_shards(q, k, v, 11, processes=3)
    wanted = attention(q, k, v, causal & window(11))
    np.testing.assert_allclose(shared.output, wanted, atol=1e-6)
    assert shared.output.dtype == np.float32
    a_halo = (
        HEADS * 10 * (D + 3) * 4
    )  # heads, w − 1 keys, features of key and value, bytes
    assert shared.sent == (a_halo, a_halo, 0)


def test_a_window_of_one_sends_nothing(monkeypatch):
    """There is no process group: whoever sent or received would raise."""
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    x = np.ones((HEADS, 5, D))
    kept, sent = halo._with_halo(x, 0)
    np.testing.assert_array_equal(kept, x)
    assert sent == 0


def test_a_shard_shorter_than_the_halo_is_refused():
    fault = r"must hold the 16 keys .*; with 2 processes the shortest has 15"
    with pytest.raises(ValueError, match=fault):
        attend_in_shards(*problem(), 17)


def test_more_processes_than_tokens_are_refused():
    with pytest.raises(ValueError, match="processes: a shard must hold the 1 keys"):
        attend_in_shards(*problem(n=2), 1, processes=3)


def test_fewer_queries_than_keys_are_refused():
    q, k, v = problem()
    with pytest.raises(ValueError, match="the same tokens in both, got 4 queries and 30 keys"):  # fmt: skip
        attend_in_shards(q[:, :4], k, v, 3)


@pytest.mark.parametrize("given", [{"size": 0}, {"size": 2, "processes": 0}])
def test_whole_numbers_of_at_least_one(given):
    with pytest.raises(ValueError, match="at least 1"):
        attend_in_shards(*problem(), **given)


def test_a_process_that_fails_is_told_of_and_the_others_are_stopped(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nowhere0")  # no such network interface
    with pytest.raises(RuntimeError, match=r"process [01] of 2 failed, .* it said: .*nowhere0"):  # fmt: skip
        attend_in_shards(*problem(), 3)


def test_when_time_is_up_the_processes_are_stopped(monkeypatch):
    started = []
    popen = halo.subprocess.Popen

    def remembered(*given, **named):
        started.append(popen(*given, **named))
        return started[-1]

    monkeypatch.setattr(halo.subprocess, "Popen", remembered)
    with pytest.raises(TimeoutError, match=r"stopped after 0\.2 seconds"):
        attend_in_shards(*problem(), 3, seconds=0.2)
    assert all(process.returncode < 0 for process in started)  # by a signal


def test_a_given_network_interface_is_kept(monkeypatch):
    """And without one it is the machine's own, so that its name needs no address."""
    seen = []

    class Finished:
        stdout = None

        def __init__(self, command, env, **pipes):
            seen.append(env["GLOO_SOCKET_IFNAME"])
            raise OSError("enough")

    monkeypatch.setattr(halo.subprocess, "Popen", Finished)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    with pytest.raises(OSError, match="enough"):
        attend_in_shards(*problem(), 3)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setattr(halo.socket, "if_nameindex", lambda: [(1, "eth0"), (2, "lo0")])
    with pytest.raises(OSError, match="enough"):
        attend_in_shards(*problem(), 3)
    assert seen == ["eth7", "lo0"]
