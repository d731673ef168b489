"""Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023): steps by the sign of a momentum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neox_optimizers.grouped import GroupedOptimizer, State, column, decay
from neox_optimizers.params import LionParams


class Lion(GroupedOptimizer):
    """Every weight moves by the rate, in the direction of the sign; weight decay is decoupled."""

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """No momentum."""
        return {"exp_avg": torch.zeros_like(parameter, memory_format=torch.contiguous_format)}

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """The momentum that is used is younger than the one that is kept."""
        rate, (used, kept) = group["lr"], group["betas"]
        momenta = column(states, "exp_avg")
        decay(group, parameters, rate)
        signs = torch._foreach_sign(torch._foreach_lerp(momenta, gradients, 1 - used))
        torch._foreach_add_(parameters, signs, alpha=-rate)
        torch._foreach_lerp_(momenta, gradients, 1 - kept)


def build(groups: list[dict[str, Any]], params: LionParams) -> Lion:
    """The optimizer over parameter groups."""
    return Lion(groups, {"lr": params.lr, "betas": params.betas})
