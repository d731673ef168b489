"""Mamba blocks in GPT-NeoX's names, to ours and back."""

from __future__ import annotations

import pytest
import torch
from training_models import model, resolve

MAMBA = {"attention_config": ["mamba", "global"], "norm": "rmsnorm"}


def converter(**changes):
    resolved, plugins = resolve(**changes)
    return plugins.make("converter", "gpt-neox", resolved)


@pytest.mark.parametrize(
    "changes",
    [
        MAMBA,
        {**MAMBA, "norm": "layernorm", "mamba_use_bias_in_linears": True},
        {**MAMBA, "mamba_use_bias_in_conv": False, "intermediate_size": 24},
    ],
)
def test_every_weight_goes_out_and_comes_back(changes):
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    back = converter(**changes).read(theirs)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_the_names_and_shapes_are_those_of_gpt_neox():
    changes = {**MAMBA, "mamba_use_bias_in_linears": True}
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    block = {
        name.removeprefix("sequential.2."): tuple(tensor.shape)
        for name, tensor in theirs.items()
        if name.startswith("sequential.2.")
    }
    assert block == {
        "norm.scale": (16,),
        "mixer.in_proj.weight": (64, 16),
        "mixer.in_proj.bias": (64,),
        "mixer.conv1d.weight": (32, 1, 4),
        "mixer.conv1d.bias": (32,),
        "mixer.x_proj.weight": (33, 32),
        "mixer.x_proj.bias": (33,),
        "mixer.dt_proj.weight": (32, 1),
        "mixer.dt_proj.bias": (32,),
        "mixer.A_log": (32, 16),
        "mixer.D": (32,),
        "mixer.out_proj.weight": (16, 32),
        "mixer.out_proj.bias": (16,),
    }
    halves = [ours[f"layers.0.mixer.{name}.weight"] for name in ("in_proj", "gate_proj")]
    assert torch.equal(theirs["sequential.2.mixer.in_proj.weight"], torch.cat(halves))
