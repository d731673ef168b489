"""Layers are dealt to the stages of a pipeline as the settings ask."""

from __future__ import annotations

import pytest
from training_models import resolve

from neox_core.errors import UserError
from neox_core.model.stages import (
    deal_layers,
    layer_classes,
    operation_numbers,
    parameter_numbers,
    planned_stages,
    without_memory,
)
from neox_core.parallel.partition import Weights


def dealt(method, stages, layers=12, **changes):
    found = deal_layers(
        *resolve(num_layers=layers, pipe_partition_method=method, **changes),
        stages,
        lambda: Weights(1, (1.0,) * layers, 4),
    )
    assert [layer for stage in found for layer in stage] == list(range(layers))
    return [len(stage) for stage in found]


def test_the_default_method_counts_functions_too_as_gpt_neox_does():
    assert dealt("type:transformer|mlp", 2) == [6, 6]
    assert dealt("type:transformer|mlp", 4) == [3, 4, 3, 2], (
        "before and after the blocks something is called transformer"
    )
    assert dealt("type:transformerlayer", 4) == [3, 3, 3, 3]
    assert dealt("type:transformer|mlp", 2, layers=3) == [2, 1]


def test_every_method_is_followed():
    assert dealt("uniform", 4) == [3, 4, 4, 1]
    assert dealt("Type:TransformerLayer", 3) == [4, 4, 4]
    assert dealt("cost", 2) == [7, 5]
    assert dealt("parameters", 2, vocab_size=16, hidden_size=64) == [6, 6]


def test_one_stage_has_all_layers():
    assert dealt("type:nothing", 1) == [12]


def test_layers_are_called_as_in_gpt_neox():
    config = [[["rwkv", "mamba", "gmlp", "global"], 1]]
    names = layer_classes(*resolve(num_layers=4, attention_config=config))
    assert names == (
        "RWKVResidualLayerPipe",
        "ParallelMambaResidualLayerPipe",
        "GMLPBlock",
        "ParallelTransformerLayerPipe",
    )


def test_a_model_without_attention_is_cut_evenly_by_default():
    assert dealt("type:transformer|mlp", 2, layers=8, attention_config=[[["mamba"], 8]], pos_emb="none") == [4, 4]


@pytest.mark.parametrize(
    ("method", "stages", "layers", "message"),
    [
        (
            "uniform",
            4,
            2,
            r"of 4 stages, stage 2 would have none of the 2 layers with pipe_partition_method 'uniform'; use fewer",
        ),
        ("cost", 5, 2, r"of 5 stages, stage \d would have none of the 2 layers"),
        ("type:transformer|mlp", 8, 2, r"of 8 stages, stage \d would have none of the 2 layers"),
        (
            "type:rnn",
            2,
            2,
            r"pipe_partition_method: no layer matches 'rnn'; they are called Parallel\w+Pipe; or use uniform",
        ),
        ("type:(", 2, 2, r"pipe_partition_method: '\(' is not a regular expression"),
        ("profile", 2, 2, r"pipe_partition_method: 'profile' is none of uniform, parameters, cost and type:REGEX"),
    ],
)
def test_what_cannot_be_dealt_is_refused(method, stages, layers, message):
    with pytest.raises(UserError, match=message):
        dealt(method, stages, layers)


def test_weights_are_those_of_the_parts():
    resolved, plugins = resolve(num_layers=3, no_weight_tying=False)
    model, numbers = without_memory(resolved, plugins), parameter_numbers(resolved, plugins)
    assert numbers.embedding == numbers.head == model.embedding.weight.numel()
    assert sum(numbers.blocks) == sum(p.numel() for p in model.layers.parameters())
    operations = operation_numbers(resolved, plugins)
    assert sum(operations.blocks) + operations.head == pytest.approx(model.flops_per_token(12))


def test_a_plan_counts_operations_in_place_of_time():
    resolved, plugins = resolve(2, num_layers=8, pipe_parallel_size=2, pipe_partition_method="cost", vocab_size=1000)
    first, last = planned_stages(resolved, plugins)
    assert len(first) > len(last), "the head's operations count"
