"""SM3 (Anil et al., "Memory-Efficient Adaptive Optimization", 2019): one number for each row and each column of a matrix."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from neox_optimizers.grouped import GroupedOptimizer, State, decay
from neox_optimizers.params import SM3Params


class SM3(GroupedOptimizer):
    """AdaGrad, whose sum of squares of an element is bounded by the least of the numbers of its row, its column, and so on."""

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """No sums; and a momentum only where there is to be one."""
        sums = {f"accumulator_{axis}": parameter.new_zeros(size) for axis, size in enumerate(_axes(parameter))}
        if group["momentum"] == 0:
            return sums
        return sums | {"momentum_buffer": torch.zeros_like(parameter, memory_format=torch.contiguous_format)}

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """One parameter after the other: their shapes differ."""
        if group["decoupled_decay"]:
            decay(group, parameters, group["lr"])
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            bounds = _accumulate(gradient.view(_axes(gradient)), state, group["beta"]).view_as(gradient)
            update = bounds.add_(group["eps"]).rsqrt_().mul_(gradient)
            if "momentum_buffer" in state:
                update = state["momentum_buffer"].lerp_(update, 1 - group["momentum"])
            parameter.sub_(update, alpha=group["lr"])


def _axes(tensor: Tensor) -> tuple[int, ...]:
    """The sizes of its axes; a single number has one of size 1."""
    return tuple(tensor.shape) or (1,)


def _accumulate(gradient: Tensor, state: State, beta: float) -> Tensor:
    """Bounds of the sums of squares of all elements, with the new squares, which the numbers of the axes then bound."""
    axes = range(gradient.dim())
    sums = [state[f"accumulator_{axis}"] for axis in axes]
    bounds = reduce(torch.minimum, (_along(kept, axis, gradient.dim()) for axis, kept in enumerate(sums)))
    bounds = (bounds * beta if beta > 0 else bounds).addcmul(gradient, gradient, value=1 - beta)
    for axis, kept in enumerate(sums):
        others = [other for other in axes if other != axis]
        highest = bounds.amax(others) if others else bounds
        kept.copy_(torch.maximum(kept, highest) if beta > 0 else highest)
    return bounds


def _along(numbers: Tensor, axis: int, dimensions: int) -> Tensor:
    """Numbers of an axis in a shape that broadcasts with the parameter."""
    return numbers.view([-1 if other == axis else 1 for other in range(dimensions)])


def build(groups: list[dict[str, Any]], params: SM3Params) -> SM3:
    """The optimizer over parameter groups."""
    return SM3(groups, params.model_dump())
