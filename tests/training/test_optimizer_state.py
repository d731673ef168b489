"""Which parameters decay, and which optimizer state can be kept."""

from __future__ import annotations

import pytest
import torch
from training_models import model

from neox_core.errors import UserError
from neox_core.parallel import ShardSpec
from neox_core.training.fragments import state_fragment, step_without_effect
from neox_core.training.parameter_groups import parameter_groups

SPEC = ShardSpec.complete("layers.0.mlp.up.weight", (2, 3))


def names(group, parameters):
    members = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in parameters.items() if id(parameter) in members}


def test_matrices_decay_and_vectors_do_not():
    parameters = dict(model(pos_emb="learned").named_parameters())
    decayed, exempt = parameter_groups(parameters, 0.1)
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.1, 0.0)
    assert names(exempt, parameters) == {name for name in parameters if name.endswith("bias") or "norm" in name}
    assert names(decayed, parameters) | names(exempt, parameters) == parameters.keys()
    assert len(decayed["params"]) + len(exempt["params"]) == len(parameters)


def test_a_parameter_can_say_for_itself_whether_it_decays():
    matrix, vector = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    matrix.no_weight_decay, vector.no_weight_decay = True, False
    decayed, exempt = parameter_groups({"a": matrix, "b": vector}, 0.1)
    assert decayed["params"] == [vector]
    assert exempt["params"] == [matrix]


def test_without_weight_decay_there_is_one_group():
    parameters = dict(model().named_parameters())
    (group,) = parameter_groups(parameters, 0.0)
    assert group["weight_decay"] == 0
    assert len(group["params"]) == len(parameters)


def test_state_of_an_element_each_is_a_piece_and_of_one_number_a_scalar():
    mean, count = torch.arange(6.0).view(2, 3), torch.tensor(3.0)
    piece, scalar = state_fragment(SPEC, "mean", mean, (0, 6)), state_fragment(SPEC, "step", count, (0, 6))
    assert (piece.range, piece.scalar) == ((0, 6), False)
    assert (scalar.range, scalar.scalar) == ((0, 1), True)
    piece.tensor[0], scalar.tensor[0] = 7.0, 8.0
    assert (float(mean[0, 0]), float(count)) == (7.0, 8.0), "fragments are the live storage"


def test_state_of_a_row_each_is_kept_of_whole_parameters():
    rows = torch.ones(2, 1)
    fragment = state_fragment(SPEC, "rows", rows, (0, 6))
    assert (fragment.name, fragment.spec.global_shape, fragment.range) == (SPEC.name, (2, 1), (0, 2))
    fragment.tensor[1] = 5.0
    assert rows.tolist() == [[1.0], [5.0]]


@pytest.mark.parametrize(("value", "covered"), [(3, (0, 6)), ({"a": 1}, (0, 6)), (torch.ones(4), (2, 5))])
def test_state_of_another_kind_is_refused(value, covered):
    with pytest.raises(
        UserError, match=r"optimizer: its state 'odd' of layers\.0\.mlp\.up\.weight is .*cannot be saved"
    ):
        state_fragment(SPEC, "odd", value, covered)


def test_a_step_without_effect_makes_state_and_moves_nothing():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([{"params": [parameter], "weight_decay": 0.5}], lr=0.1)
    parameter.grad = torch.zeros(3)
    step_without_effect(optimizer)
    assert parameter.tolist() == [1.0, 1.0, 1.0]
    assert set(optimizer.state[parameter]) == {"step", "exp_avg", "exp_avg_sq"}
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.1, 0.5)
