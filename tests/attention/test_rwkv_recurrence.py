"""The recurrence of RWKV 6 in chunks against one step after the other, in float64."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from neox_attention.wkv import CHUNK, Steps, find_kernel, wkv

HEADS, SIZE = 3, 4


def parts(batch, seq, *, slowest=-6.0, fastest=2.0):
    """Receptance, key, value, log_decay, bonus and a state; decays are exp(-exp(w)), w between the two."""
    random = torch.Generator().manual_seed(seq)
    made = torch.randn(3, batch, seq, HEADS, SIZE, dtype=torch.float64, generator=random)
    speed = slowest + (fastest - slowest) * torch.rand(batch, seq, HEADS, SIZE, dtype=torch.float64, generator=random)
    bonus = torch.randn(HEADS, SIZE, dtype=torch.float64, generator=random)
    state = torch.randn(batch, HEADS, SIZE, SIZE, dtype=torch.float64, generator=random)
    return [*made, -speed.exp(), bonus, state]


def run(given, starts):
    return wkv(Steps(*given[:4]), *given[4:], starts)


def naive(receptance, key, value, log_decay, bonus, state, starts=None):
    outputs = torch.zeros_like(value)
    batch, seq = value.shape[:2]
    ends = torch.zeros_like(state)
    for row in range(batch):
        for head in range(HEADS):
            held = state[row, head]
            for t in range(seq):
                if starts is not None and starts[row, t]:
                    held = torch.zeros_like(held)
                new = torch.outer(key[row, t, head], value[row, t, head])
                outputs[row, t, head] = receptance[row, t, head] @ (held + bonus[head][:, None] * new)
                held = log_decay[row, t, head].exp()[:, None] * held + new
            ends[row, head] = held
    return outputs, ends


def near(found, expected, tolerance=1e-9):
    for one, other in zip(found, expected, strict=True):
        assert bool(one.isfinite().all())
        assert float((one - other).abs().max()) < tolerance


@pytest.mark.parametrize("seq", [1, 2, 7, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_chunks_come_to_what_single_steps_come_to(seq):
    given = parts(2, seq)
    near(run(given, None), naive(*given))


@pytest.mark.parametrize("seq", [1, 7, 2 * CHUNK + 9])
def test_a_document_begins_without_a_state_wherever_it_begins(seq):
    given, random = parts(4, seq), torch.Generator().manual_seed(1)
    starts = torch.rand(4, seq, generator=random) < 0.2
    starts[0, 0] = starts[1, seq - 1] = True
    starts[2] = False
    near(run(given, starts), naive(*given, starts))


@pytest.mark.parametrize(("slowest", "fastest"), [(-40.0, -30.0), (5.0, 8.0), (-40.0, 8.0)])
def test_decays_may_be_1_or_0(slowest, fastest):
    given = parts(1, CHUNK + 9, slowest=slowest, fastest=fastest)
    near(run(given, None), naive(*given))
    narrow = [part.float() for part in given]
    near(run(narrow, None), naive(*given), 1e-4)


def test_a_decay_of_0_between_slow_ones_costs_no_precision():
    given = parts(1, CHUNK)
    given[3] = torch.full_like(given[3], -1e-3)
    given[3][:, CHUNK // 2] = -1e9
    near(run([part.float() for part in given], None), naive(*given), 1e-4)


def test_gradients_are_those_of_single_steps():
    given, starts = parts(2, CHUNK + 7), torch.zeros(2, CHUNK + 7, dtype=torch.bool)
    starts[0, 5] = starts[1, CHUNK] = True
    for part in given:
        part.requires_grad_()
    weights = [torch.randn_like(part) for part in naive(*given, starts)]

    def gradients(outputs):
        return torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, outputs, strict=True)), given)

    near(gradients(run(given, starts)), gradients(naive(*given, starts)))


def test_extreme_decays_have_finite_gradients():
    given = parts(1, CHUNK + 9, slowest=-40.0, fastest=8.0)
    given[3][:, 3] = -torch.inf
    given[3].requires_grad_()
    (gradient,) = torch.autograd.grad(run(given, None)[0].sum(), given[3])
    assert bool(gradient.isfinite().all())


@pytest.fixture
def installed(monkeypatch):
    """A stand-in for flash-linear-attention: the function that is given is its `chunk_rwkv6`."""

    def install(function):
        for name in ("fla", "fla.ops", "fla.ops.rwkv6"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules["fla.ops.rwkv6"].chunk_rwkv6 = function
        find_kernel.cache_clear()

    yield install
    find_kernel.cache_clear()


def test_the_kernel_gets_what_it_takes(installed, monkeypatch):
    calls = []

    def chunk_rwkv6(r, k, v, w, u, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None):
        calls.append((r.dtype, scale, output_final_state))
        wide = [part.double() for part in (r, k, v, w, u, initial_state)]
        output, state = naive(*wide)
        return output.to(r.dtype), state.float()

    installed(chunk_rwkv6)
    given = [part.float() for part in parts(2, CHUNK)]
    expected = run(given, None)
    monkeypatch.setattr("neox_attention.wkv.is_on_gpu", lambda tensor: True)
    found = run(given, None)
    assert calls == [(torch.float32, 1.0, True)]
    near(found, expected, 1e-4)
    run(given, torch.ones(2, CHUNK, dtype=torch.bool))
    assert len(calls) == 1, "it knows no documents"
    run([part.float() for part in parts(2, CHUNK - 1)], None)
    assert len(calls) == 1, "it is not worth while for a few tokens"
    run([part.double() for part in given], None)
    assert len(calls) == 1, "it knows no float64"


def test_a_kernel_that_takes_heads_before_the_sequence_is_not_used(installed):
    def chunk_rwkv6(r, k, v, w, u, scale=None, head_first=True):
        raise AssertionError

    installed(chunk_rwkv6)
    assert find_kernel() is None


def test_without_the_library_there_is_no_kernel(monkeypatch):
    monkeypatch.setitem(sys.modules, "fla.ops.rwkv6", None)
    find_kernel.cache_clear()
    assert find_kernel() is None
    find_kernel.cache_clear()
