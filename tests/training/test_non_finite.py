"""A gradient that is not finite is not applied, and the rank, the place and the micro-batch where it begins are named."""

from __future__ import annotations

import pytest
from training_models import model, tokens

from neox_core.parallel import Mesh
from neox_core.training.non_finite import Search

WAYS = [
    {},
    {"zero_optimization": {"stage": 1}},
    {"zero_optimization": {"stage": 2}},
    {"zero_optimization": {"stage": 3}},
    {"precision": "bfloat16"},
    {"model_parallel_size": 2},
    {"pipe_parallel_size": 2},
]


@pytest.mark.drawn(5)
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    ("spoilt", "place", "told"),
    [
        ("gradient", "layers.1.mlp.up.weight", "the gradient of layers.1.mlp.up.weight, on rank 1 in micro-batch 1"),
        ("output", "layers.1.mlp", "what layers.1.mlp gives, on rank 1 in micro-batch 1"),
    ],
)
def test_the_verdict_is_that_of_all_ranks_and_names_one(way, spoilt, place, told, workers):
    for verdict in workers(2).run("spoilt_steps:step_with", spoilt, place, 1, **way):
        assert verdict == (False, f"the gradient is not finite: it begins with {told}", True, True)


def test_what_is_finite_when_it_is_computed_again_is_told_as_such(workers):
    reasons = workers(2).run("spoilt_steps:step_with_once", 1)
    assert reasons == ["the gradient is not finite; computed again it is, on all ranks, as when a machine errs"] * 2


def test_compiled_layers_are_looked_into():
    network = model().train()
    for layer in network.layers:
        layer.compile(backend="eager")
    network(tokens())
    for name in ("up", "down"):
        network.get_submodule(f"layers.1.mlp.{name}").weight.data.mul_(1e30)
    search = Search(network, Mesh.solo())
    with search.looking():
        search.begin("forward", 0)
        network(tokens())
    assert str(search.finding) == "what layers.1.mlp.down gives, on rank 0 in micro-batch 1"
