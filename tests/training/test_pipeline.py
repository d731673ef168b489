"""A pipeline trains as one process does."""

from __future__ import annotations

from functools import cache

import pipelines
import pytest
import torch

KINDS = {
    "plain": {},
    "tied": {"no_weight_tying": False},
}


@pytest.fixture(scope="module")
def alone(workers):
    """What one process makes of settings."""
    return cache(lambda kind: workers(1).run(pipelines.trained, **KINDS[kind])[0])


def check(found, expected, tolerance=2e-6):
    for rank in found:
        for name in ("loss", "norm"):
            torch.testing.assert_close(rank[name], expected[name], rtol=tolerance, atol=0)
        assert rank["evaluation"] == pytest.approx(expected["evaluation"], rel=tolerance)
        assert rank["weights"].keys() == expected["weights"].keys()
        for name, value in expected["weights"].items():
            torch.testing.assert_close(rank["weights"][name], value, rtol=tolerance, atol=tolerance, msg=name)
    torch.testing.assert_close(found[0]["logits"], expected["logits"], rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_two_stages_train_as_one_process(workers, alone, kind):
    check(workers(2).run(pipelines.trained, pipe_parallel_size=2, **KINDS[kind]), alone(kind))
