"""Which layers of a model each stage of a pipeline has."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from neox_core.config import ModelSettings, ParallelismSettings, Resolved
from neox_core.errors import UserError
from neox_core.model.model import LanguageModel
from neox_core.model.operations import flops_per_token
from neox_core.parallel import Axis, Stage
from neox_core.parallel.partition import (
    METHODS,
    Dealt,
    Weights,
    deal_by_cost,
    deal_by_parameters,
    deal_by_type,
    deal_uniform,
    idle_stage,
)
from neox_core.plugins import Attention, PluginManager

DEFAULT = "type:transformer|mlp"

TRANSFORMER = "ParallelTransformerLayerPipe"
CLASSES = {
    "gmlp": "GMLPBlock",
    "amlp": "GMLPBlock",
    "rwkv": "RWKVResidualLayerPipe",
    "mamba": "ParallelMambaResidualLayerPipe",
}
"""What GPT-NeoX calls layers with these mixers, for `type:REGEX`; those with others are called `TRANSFORMER`."""


def stage_of(resolved: Resolved, plugins: PluginManager, pipe: Axis, measure: Callable[[], Weights]) -> Stage:
    """A rank's stage."""
    layers = deal_layers(resolved, plugins, pipe.size, measure)
    return Stage(layers[pipe.rank], pipe.rank, pipe.size)


def deal_layers(resolved: Resolved, plugins: PluginManager, stages: int, measure: Callable[[], Weights]) -> Dealt:
    """The blocks of each stage, as `pipe_partition_method` asks.

    Args:
        resolved: the run's settings.
        plugins: where mixers and other parts are looked up.
        stages: their number.
        measure: says what the parts of the model cost, for the method "cost".

    Raises:
        UserError: a stage would have nothing to do, or the method cannot be followed.
    """
    if stages == 1:
        return [range(resolved[ModelSettings].num_layers)]
    method = resolved[ParallelismSettings].pipe_partition_method
    dealt = _dealt(method, resolved, plugins, stages, measure)
    idle = idle_stage(dealt)
    if idle is not None:
        raise UserError(
            f"pipe_parallel_size: of {stages} stages, stage {idle} would have none of the "
            f"{resolved[ModelSettings].num_layers} layers with pipe_partition_method '{method}'; use fewer stages"
        )
    return dealt


def _dealt(
    method: str, resolved: Resolved, plugins: PluginManager, stages: int, measure: Callable[[], Weights]
) -> Dealt:
    match method.lower().partition(":"):
        case "uniform", "", "":
            return deal_uniform(resolved[ModelSettings].num_layers, stages)
        case "parameters", "", "":
            return deal_by_parameters(parameter_numbers(resolved, plugins), stages)
        case "cost", "", "":
            return deal_by_cost(measure(), stages)
        case "type", ":", pattern:
            return _dealt_by_type(method, pattern, layer_classes(resolved, plugins), stages)
    raise UserError(f"pipe_partition_method: {method!r} is none of {', '.join(METHODS)} and type:REGEX")


def _dealt_by_type(method: str, pattern: str, classes: tuple[str, ...], stages: int) -> Dealt:
    try:
        return deal_by_type(classes, pattern, stages)
    except ValueError as error:
        if method == DEFAULT:  # a model without attention is dealt as one with it
            return deal_by_type([TRANSFORMER] * len(classes), pattern, stages)
        raise UserError(f"pipe_partition_method: {error}; or use uniform") from error
    except re.error as error:
        raise UserError(f"pipe_partition_method: {pattern!r} is not a regular expression ({error})") from error


def layer_classes(resolved: Resolved, plugins: PluginManager) -> tuple[str, ...]:
    """What GPT-NeoX calls each block; one that a plugin has made is called as its mixer where it takes the whole block's place."""
    return tuple(_class_of(name, plugins) for name in resolved.layers)


def _class_of(name: str, plugins: PluginManager) -> str:
    component = plugins.find("attention", name).component
    is_whole = isinstance(component, Attention) and component.replaces == "block"
    return CLASSES.get(name, name if is_whole else TRANSFORMER)


def without_memory(resolved: Resolved, plugins: PluginManager) -> LanguageModel:
    """The whole model, which has shapes and no numbers."""
    with torch.device("meta"):
        return LanguageModel(resolved, plugins)


def parameter_numbers(resolved: Resolved, plugins: PluginManager) -> Weights:
    """How many parameters the parts of the model train; tied weights are parts of both ends."""
    model = without_memory(resolved, plugins)
    head = model.embedding if model.head.weight is None else model.head
    return Weights(_trained(model.embedding), tuple(map(_trained, model.layers)), _trained(head), _trained(model.norm))


def _trained(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def operation_numbers(resolved: Resolved, plugins: PluginManager) -> Weights:
    """How many floating-point operations the parts of the model take for a token: costs that need not be measured."""
    model, length = without_memory(resolved, plugins), resolved[ModelSettings].seq_length
    blocks = tuple(flops_per_token(block, length) for block in model.layers)
    return Weights(0.0, blocks, model.flops_per_token(length) - sum(blocks))


def planned_stages(resolved: Resolved, plugins: PluginManager) -> Dealt:
    """The blocks of each stage, of which nothing is measured: the method "cost" counts operations.

    Raises:
        UserError: see `deal_layers`.
    """
    return deal_layers(resolved, plugins, resolved.topology.pipe, lambda: operation_numbers(resolved, plugins))
