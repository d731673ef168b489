"""Running means of the gradient and its square, as Adam keeps them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neox_optimizers.grouped import State, column, count, number


def no_moments(parameter: Tensor) -> State:
    """Before the first step."""
    zeros = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
    return {"step": number(), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}


def update_square(gradients: list[Tensor], squares: list[Tensor], beta: float) -> None:
    """Take gradients into the mean of squares."""
    torch._foreach_mul_(squares, beta)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta)


def adam_directions(
    gradients: list[Tensor], states: list[State], betas: tuple[float, float], eps: float
) -> list[Tensor]:
    """Take gradients into the moments, and Adam's update at rate 1: mean over the root of the mean square, both corrected.

    Both means begin at zero; dividing them by 1 - beta^step corrects for that (Kingma and Ba, 2015).
    """
    first, second = column(states, "exp_avg"), column(states, "exp_avg_sq")
    torch._foreach_lerp_(first, gradients, 1 - betas[0])
    update_square(gradients, second, betas[1])
    steps = count(states)
    roots = torch._foreach_sqrt(second)
    torch._foreach_div_(roots, [math.sqrt(1 - betas[1] ** step) for step in steps])
    torch._foreach_add_(roots, eps)
    directions = torch._foreach_div(first, roots)
    torch._foreach_div_(directions, [1 - betas[0] ** step for step in steps])
    return list(directions)
