"""Tensors that are read when they are asked for, and not to know whether they are there."""

from __future__ import annotations

import pytest
import torch

from neox_core.checkpoint import LazyTensors, Renamed


class Unread(LazyTensors):
    """Has a tensor that nobody may read."""

    def meta(self, name):
        return {"there": torch.empty(3, device="meta")}[name]

    def __getitem__(self, name):
        raise AssertionError("it was read")

    def __iter__(self):
        return iter(["there"])

    def __len__(self):
        return 1


@pytest.mark.parametrize("tensors", [Unread(), Renamed(Unread(), {"there": "there"})], ids=["itself", "renamed"])
def test_to_know_whether_a_tensor_is_there_reads_nothing(tensors):
    assert "there" in tensors
    assert "elsewhere" not in tensors
    assert tensors.keys() & {"there", "elsewhere"} == {"there"}
    assert tensors.meta("there").shape == (3,)
