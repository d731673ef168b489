"""Which parameters are trained alike: what an optimizer is made over."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from neox_core.config import OptimizerSettings, Resolved
from neox_core.model import LanguageModel
from neox_core.plugins import Optimizer, PluginManager
from neox_core.training.bias_copies import rates_of_copies


def groups_of(model: LanguageModel, resolved: Resolved, plugins: PluginManager) -> list[dict[str, Any]]:
    """What the optimizer of a run is made over, each part of the model at its rate."""
    optimizer = plugins.find("optimizer", resolved.optimizer.name).component
    rules = optimizer.mup if isinstance(optimizer, Optimizer) else None
    decay = resolved[OptimizerSettings].weight_decay
    parameters = dict(model.named_parameters())
    rates = dict(model.mup.rate_factors(model, rules))
    for name, factor in rates_of_copies(parameters, resolved).items():
        rates[name] = rates.get(name, 1.0) * factor
    return parameter_groups(parameters, decay, rates)


def parameter_groups(
    parameters: Mapping[str, nn.Parameter], weight_decay: float, rates: Mapping[str, float] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Of what is trained, matrices decay; vectors (biases, norms) and what is marked `no_weight_decay` do not.

    What is marked `keeps_float32` has groups of its own, after the others, whose dtype DeepSpeed takes for the model's. So has what
    is trained at a rate of its own; its weight decay is divided by the factor of the rate, since every optimizer here multiplies
    the two, so that weights shrink as fast at any width.

    Args:
        parameters: by canonical name.
        weight_decay: of what decays.
        rates: factors of the learning rate by name, where they are not 1.

    Returns:
        Groups as `neox_core.plugins.Optimizer` describes them.
    """
    groups: dict[tuple[bool, bool, float], dict[str, nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            spared = weight_decay == 0 or bool(getattr(parameter, "no_weight_decay", parameter.dim() < 2))
            group = getattr(parameter, "keeps_float32", False), spared, rates.get(name, 1.0)
            groups.setdefault(group, {})[name] = parameter
    return [
        {
            "params": [*members.values()],
            "names": [*members],
            "weight_decay": 0.0 if spared else weight_decay / rate,
            **({} if rate == 1 else {"lr_scale": rate}),
        }
        for (_, spared, rate), members in sorted(groups.items(), key=lambda item: item[0])
    ]
