"""MADGRAD (Defazio and Jelassi, "Adaptivity without Compromise", 2021), with decoupled weight decay."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from neox_optimizers.grouped import GroupedOptimizer, State, column, count, decay, number
from neox_optimizers.params import MadgradParams


class Madgrad(GroupedOptimizer):
    """Dual averaging: the weights lie between themselves and the start, less all gradients over a cube root of their squares.

    Each gradient is weighted by the rate times the root of its number. At rate 0 nothing moves.
    """

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """The sums, and where the weights begin; without momentum that follows from the rest."""
        zeros = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
        state = {"step": number(), "grad_sum_sq": zeros, "s": zeros.clone()}
        return state if group["momentum"] == 0 else state | {"x0": parameter.detach().clone()}

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """The rate is raised by eps, as its authors do, so that the sums are never empty."""
        steps = count(states)
        if group["lr"] == 0:
            return
        eps, rate = group["eps"], group["lr"] + group["eps"]
        sums, squares = column(states, "s"), column(states, "grad_sum_sq")
        decay(group, parameters, rate)
        if group["momentum"] == 0:
            starts = list(torch._foreach_addcdiv(parameters, sums, _roots(squares, eps)))
        else:
            starts = column(states, "x0")
        weighted = torch._foreach_mul(gradients, [rate * math.sqrt(step) for step in steps])
        torch._foreach_addcmul_(squares, weighted, gradients)
        torch._foreach_add_(sums, weighted)
        ends = torch._foreach_addcdiv(starts, sums, _roots(squares, eps), -1.0)
        if group["momentum"] == 0:
            torch._foreach_copy_(parameters, ends)
        else:
            torch._foreach_lerp_(parameters, ends, 1 - group["momentum"])


def _roots(squares: list[Tensor], eps: float) -> list[Tensor]:
    """Denominators."""
    roots = torch._foreach_pow(squares, 1 / 3)
    torch._foreach_add_(roots, eps)
    return list(roots)


def build(groups: list[dict[str, Any]], params: MadgradParams) -> Madgrad:
    """The optimizer over parameter groups."""
    return Madgrad(groups, params.model_dump())
