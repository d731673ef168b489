"""The parallel recurrence against a loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st
from neox_attention.mamba_scan import linear_recurrence


@given(length=st.integers(1, 70), seed=st.integers(0, 99), zeros=st.booleans())
def test_it_is_the_loop_at_any_length(length, seed, zeros):
    random = torch.Generator().manual_seed(seed)
    decay = torch.rand(2, length, 3, generator=random, dtype=torch.float64)
    if zeros:
        decay = decay.masked_fill(decay < 0.3, 0)
    values = torch.randn(2, length, 3, generator=random, dtype=torch.float64)
    states = [values[:, 0]]
    for t in range(1, length):
        states.append(decay[:, t] * states[-1] + values[:, t])
    torch.testing.assert_close(linear_recurrence(decay, values), torch.stack(states, 1))


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_its_gradient_is_that_of_finite_differences(length):
    random = torch.Generator().manual_seed(0)
    decay, values = (torch.rand(1, length, 2, generator=random, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(linear_recurrence, (decay, values))
