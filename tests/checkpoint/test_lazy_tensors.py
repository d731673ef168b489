"""Tensors that are read when they are asked for, and not to know whether they are there."""

from __future__ import annotations

import pytest
import torch

from neox_core.checkpoint import HeldTensors, LazyTensors, Renamed, Typed
from neox_core.errors import UserError


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


def test_values_that_a_type_does_not_have_do_not_become_infinite():
    held = {"large": torch.tensor([1.0, -1e5]), "small": torch.tensor([65504.0, 1e-9]), "none": torch.empty(0)}
    held["infinite"] = torch.tensor([float("-inf"), 1e5])
    typed = Typed(HeldTensors(held), dict.fromkeys(held, torch.float16))
    with pytest.raises(
        UserError, match=r"large has values up to 1e\+05, which are infinite in float16: write it as float32"
    ):
        typed["large"]
    assert typed["small"].tolist() == [65504.0, 0.0]
    assert typed["none"].dtype is torch.float16
    assert typed["infinite"].isinf().all()
