"""Which parameters Muon makes orthogonal, and how it takes apart those that are several matrices."""

from __future__ import annotations

import pytest
import torch
from neox_optimizers.muon import build
from neox_optimizers.newton_schulz import orthogonalised
from neox_optimizers.params import MuonParams
from training_models import model

from neox_core.training.parameter_groups import parameter_groups


def made(params=None, **changes):
    parameters = dict(model(**changes).named_parameters())
    return parameters, build(parameter_groups(parameters, 0.1), params or MuonParams())


def orthogonal(optimizer):
    return {name for group in optimizer.param_groups if group["orthogonal"] for name in group["names"]}


def test_it_trains_the_matrices_of_layers():
    _, optimizer = made(
        moe_num_experts=2, moe_type="torch", attention_config=[[["global", "mamba"], 1]], pos_emb="none"
    )
    found = orthogonal(optimizer)
    assert "layers.0.attention.query_key_value.weight" in found
    assert "layers.1.mixer.in_proj.weight" in found
    assert all(name.startswith("layers.") and name.endswith(".weight") for name in found)
    others = {"embedding.weight", "head.weight", "norm.weight", "layers.1.mixer.A_log", "layers.1.mixer.conv1d.weight"}
    assert not others & found
    assert not {"layers.1.mixer.D", "layers.1.mixer.dt_proj.weight", "layers.0.attention.output.bias"} & found


def test_the_rest_has_a_rate_of_its_own_on_top_of_that_of_its_group():
    parameters = {name: torch.nn.Parameter(torch.ones(4, 4)) for name in ("head.weight", "layers.0.a.weight")}
    group = {"params": [*parameters.values()], "names": [*parameters], "weight_decay": 0.0, "lr_scale": 0.5}
    optimizer = build([group], MuonParams(lr=0.02, adam_lr=0.001))
    scales = {name: group["lr_scale"] for group in optimizer.param_groups for name in group["names"]}
    assert scales == {"head.weight": pytest.approx(0.025), "layers.0.a.weight": 0.5}


def step(parameter, gradient, params):
    group = {"params": [parameter], "names": ["layers.0.attention.query_key_value.weight"], "weight_decay": 0.0}
    optimizer = build([group], params)
    parameter.grad = gradient
    optimizer.step()
    return parameter.detach()


def test_rows_that_take_turns_are_matrices_of_their_own():
    gradient = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(torch.zeros(8, 6))
    parameter.row_parts = [2, 1, 1]  # twice: a group of two query heads, a key head and a value head
    moved = step(parameter, gradient, MuonParams(lr=1.0, scale="shape"))
    for rows in ([0, 1, 4, 5], [2, 6], [3, 7]):
        assert torch.allclose(moved[rows], -orthogonalised(gradient[rows], 5), atol=1e-6)
    whole = torch.nn.Parameter(torch.zeros(8, 6))
    whole.row_parts = [2, 1, 1]
    together = step(whole, gradient, MuonParams(lr=1.0, scale="shape", split=False))
    assert torch.allclose(together, -orthogonalised(gradient, 5) * (8 / 6) ** 0.5, atol=1e-6)


@pytest.mark.parametrize("heads", [4, 2])
def test_models_mark_queries_keys_and_values(heads):
    parameters, optimizer = made(num_kv_heads=heads)
    name = "layers.0.attention.query_key_value.weight"
    weight = parameters[name]
    sizes = weight.row_parts
    assert sizes == [4 // heads * 4, 4, 4]
    assert len(weight) == heads * sum(sizes)
    assert optimizer._row_parts[name] == sizes


def test_zero_stays_zero():
    assert torch.equal(orthogonalised(torch.zeros(3, 5), 5), torch.zeros(3, 5))
