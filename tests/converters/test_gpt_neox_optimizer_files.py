"""Optimizer state in every form that DeepSpeed writes: what is read is what its optimizer has."""

from __future__ import annotations

import pytest
import torch
from deepspeed_directories import SETTINGS, save
from gpt_neox_directories import open_with

FORMS = {
    "float32": {},
    "ZeRO 1": {"zero_optimization": {"stage": 1}},
    "ZeRO 2": {"zero_optimization": {"stage": 2}},
    "ZeRO 1, dealt in turn": {"zero_optimization": {"stage": 1, "round_robin_gradients": True}},
    "ZeRO 1 in bf16": {"zero_optimization": {"stage": 1}, "bf16": {"enabled": True}},
    "BF16_Optimizer": {
        "zero_optimization": {"stage": 1},
        "bf16": {"enabled": True},
        "data_types": {"grad_accum_dtype": "fp32"},
    },
    "ZeRO 1 in fp16": {"zero_optimization": {"stage": 1}, "fp16": {"enabled": True, "initial_scale_power": 3}},
}


@pytest.mark.parametrize("weight_decay", [0.1, 0.0])
@pytest.mark.parametrize("form", FORMS)
def test_state_is_what_the_optimizer_has(workers, tmp_path, form, weight_decay):
    kept = workers(2).run(save, tmp_path, FORMS[form], weight_decay)[0]
    found, resolved = open_with(tmp_path, SETTINGS)
    states = found.states(resolved)
    weights = {**dict(found.weights(resolved)), **dict(states.get("master", {}))}
    for role, values in kept.items():
        theirs = weights if role == "master" else states[role]
        for name, value in values.items():
            ours = OURS(name)
            assert torch.equal(theirs[ours], value), (role, name)
    assert float(states["step"]["norm.weight"]) == 2


def OURS(name):
    """The canonical name."""
    if name.startswith("sequential.0"):
        return "embedding.weight"
    if "final_linear" in name:
        return "head.weight"
    if ".norm." in name:
        return f"norm.{name.rpartition('.')[2]}"
    _, layer, rest = name.split(".", 2)
    for theirs, ours in (
        ("input_layernorm", "attention_norm"),
        ("post_attention_layernorm", "mlp_norm"),
        ("attention.dense", "attention.output"),
        ("linear1", "up"),
        ("linear2", "down"),
    ):
        rest = rest.replace(theirs, ours)
    return f"layers.{int(layer) - 2}.{rest}"
