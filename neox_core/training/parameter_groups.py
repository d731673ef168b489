"""Which parameters are trained alike: what an optimizer is made over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def parameter_groups(parameters: Mapping[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Of what is trained, matrices decay; vectors (biases, norms) and what is marked `no_weight_decay` do not.

    What is marked `keeps_float32` has groups of its own, after the others, whose dtype DeepSpeed takes for the model's.

    Args:
        parameters: by canonical name.
        weight_decay: of what decays.

    Returns:
        Groups as `neox_core.plugins.Optimizer` describes them.
    """
    groups: dict[tuple[bool, bool], dict[str, nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            spared = weight_decay == 0 or bool(getattr(parameter, "no_weight_decay", parameter.dim() < 2))
            groups.setdefault((getattr(parameter, "keeps_float32", False), spared), {})[name] = parameter
    return [
        {"params": [*members.values()], "names": [*members], "weight_decay": 0.0 if spared else weight_decay}
        for (_, spared), members in sorted(groups.items(), key=lambda item: item[0])
    ]
