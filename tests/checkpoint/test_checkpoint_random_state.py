"""Random states come back exactly, through JSON."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from neox_core.checkpoint import capture, restore


@pytest.fixture(autouse=True)
def leave_as_it_was():
    before = capture()
    yield
    restore(before)


def draw():
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.rand(3).tolist(),
        float(np.random.randn()),
        torch.rand(3).tolist(),
        torch.randn(5).tolist(),
    ]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_the_same_numbers_follow_a_restored_state(seed, draws):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    for _ in range(draws):
        random.gauss(0, 1)  # keeps every second number for the next call
        np.random.randn()
        torch.randn(())
    state = json.loads(json.dumps(capture()))
    expected = draw()
    assert draw() != expected
    restore(state)
    assert draw() == expected


def test_capturing_draws_nothing():
    assert capture() == capture()


def test_a_state_with_cuda_is_restored_where_there_is_none():
    state = capture()
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    expected = draw()
    restore({**state, "cuda": "AAAA"})
    assert draw() == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_state_of_the_device_comes_back():
    state = json.loads(json.dumps(capture()))
    expected = torch.rand(4, device="cuda").tolist()
    restore(state)
    assert torch.rand(4, device="cuda").tolist() == expected
