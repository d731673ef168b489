"""LAMB (You et al., "Large Batch Optimization for Deep Learning", 2020): Adam whose step is as long as a parameter deserves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neox_optimizers.grouped import GroupedOptimizer, State
from neox_optimizers.moments import adam_directions, no_moments
from neox_optimizers.params import LambParams


class Lamb(GroupedOptimizer):
    """The update of a parameter, weight decay included, is scaled to the parameter's own norm."""

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """No moments."""
        return no_moments(parameter)

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """Where parameter or update is zero, the update is not scaled."""
        directions = adam_directions(gradients, states, group["betas"], group["eps"])
        if group["weight_decay"] != 0:
            torch._foreach_add_(directions, parameters, alpha=group["weight_decay"])
        norms = zip(torch._foreach_norm(parameters), torch._foreach_norm(directions), strict=True)
        ratios = [torch.where((weight > 0) & (update > 0), weight / update, 1.0) for weight, update in norms]
        torch._foreach_mul_(directions, ratios)
        torch._foreach_add_(parameters, directions, alpha=-group["lr"])


def build(groups: list[dict[str, Any]], params: LambParams) -> Lamb:
    """The optimizer over parameter groups."""
    return Lamb(groups, {"lr": params.lr, "betas": params.betas, "eps": params.eps})
