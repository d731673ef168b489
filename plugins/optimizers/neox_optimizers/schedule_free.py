"""Schedule-free AdamW (Defazio et al., "The Road Less Scheduled", 2024): an average of the weights in the place of a schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from neox_optimizers.grouped import GroupedOptimizer, State, column, count, number
from neox_optimizers.moments import update_square
from neox_optimizers.params import ScheduleFreeParams


class ScheduleFreeAdamW(GroupedOptimizer):
    """The paper's algorithm 1, with its names: AdamW moves z, x is the average of all z, and gradients are taken at y.

    The parameters are y = (1 - beta1) z + beta1 x. Beside them only z is kept, since x follows from both. The rate's rise at the
    start of a run is the paper's warm-up: a step counts in the average by the square of its rate.
    """

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """All three are the same at first."""
        zeros = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
        return {"step": number(), "weight_sum": number(), "z": parameter.detach().clone(), "exp_avg_sq": zeros}

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """Move z, and y by as much as its share of z and of the new average come to."""
        beta1, beta2 = group["betas"]
        squares, z = column(states, "exp_avg_sq"), column(states, "z")
        update_square(gradients, squares, beta2)
        rates = [group["lr"] * math.sqrt(1 - beta2**step) for step in count(states)]
        shares = [_share(state["weight_sum"], rate) for state, rate in zip(states, rates, strict=True)]
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(gradients, roots)
        if group["weight_decay"] != 0:
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
        torch._foreach_mul_(updates, [-rate for rate in rates])
        nearer = torch._foreach_sub(z, parameters)
        torch._foreach_mul_(nearer, shares)
        torch._foreach_add_(z, updates)
        torch._foreach_mul_(updates, [1 - beta1 * (1 - share) for share in shares])
        torch._foreach_add_(parameters, nearer)
        torch._foreach_add_(parameters, updates)

    @torch.no_grad()
    def weight_of_use(self, parameter: Tensor) -> Tensor:
        """The average x, which is to be evaluated and saved: of the parameter's shape, in float32."""
        state = self.state.get(parameter)
        if not state:
            return parameter.detach().clone().float()
        return parameter.lerp(state["z"], 1 - 1 / self.defaults["betas"][0]).float()


def _share(total: Tensor, rate: float) -> float:
    """What a step counts in the average: the square of its rate, over the sum of all."""
    total += rate**2
    return rate**2 / float(total) if rate else 0.0


def build(groups: list[dict[str, Any]], params: ScheduleFreeParams) -> ScheduleFreeAdamW:
    """The optimizer over parameter groups."""
    return ScheduleFreeAdamW(groups, params.model_dump())
