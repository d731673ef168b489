"""Copies of a parameter on several stages get the same gradient to the bit: the sum of theirs, averaged over replicas."""

from __future__ import annotations

import copied_gradients as copies
import pytest
import torch
from whole_matrix import in_whole

CUTS = [(2, 1), (3, 1), (2, 2), in_whole(2, 3)]


def expected(name, pipe, data, replicas):
    stages = {"ends": sorted({0, pipe - 1}), "all": range(1, pipe)}[name]
    parts = [copies.gradient_of(stage * data + replica, name) for stage in stages for replica in replicas]
    return torch.stack(parts).double().sum(0).float() / len(replicas)


@pytest.mark.parametrize(("pipe", "data"), CUTS)
def test_copies_have_the_same_gradient(workers, pipe, data):
    found = workers(pipe * data).run(copies.summed, pipe, data)
    for rank in found:
        for name, gradient in rank.items():
            assert torch.equal(gradient, found[0][name])
            wanted = expected(name, pipe, data, range(data))
            torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)
    assert len(found[0]) == len(found[-1]) == 2


def test_gradients_that_stay_local_are_summed_over_stages_alone(workers):
    for rank, found in enumerate(workers(4).run(copies.summed, 2, 2, local=True)):
        for name, gradient in found.items():
            wanted = expected(name, 2, 2, [rank % 2])
            torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cut", [in_whole((2, 3))])
def test_averages_fit_into_float16_where_sums_do_not(workers, cut):
    assert workers(6).run(copies.averaged_in_float16, *cut, 20_000.0) == [{40_000.0}] * 6
