"""What our own optimizers have in common: a walk over groups, and tensors that are kept for each parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
"""What is kept for one parameter, by name."""


class GroupedOptimizer(torch.optim.Optimizer, ABC):
    """An optimizer says what it keeps for a parameter at the beginning, and how it updates all of a group together."""

    @abstractmethod
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """What is kept for a parameter before its first step."""

    @abstractmethod
    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """Update parameters and their states in place; gradients stay as they are."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; parameters without a gradient are left alone.

        Args:
            closure: computes the loss and the gradients.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter].update(self.begin(parameter, group))
            if parameters:
                states = [self.state[parameter] for parameter in parameters]
                self.update(group, parameters, [parameter.grad for parameter in parameters], states)
        return loss


def number() -> Tensor:
    """A number that is zero at first; on the CPU, where it can be read without waiting for a GPU."""
    return torch.zeros(())


def column(states: list[State], name: str) -> list[Tensor]:
    """One entry of each state."""
    return [state[name] for state in states]


def count(states: list[State]) -> list[float]:
    """Count a step, and how many there have been for each parameter."""
    steps = column(states, "step")
    torch._foreach_add_(steps, 1)
    return [float(step) for step in steps]


def decay(group: dict[str, Any], parameters: list[Tensor], rate: float) -> None:
    """Decoupled weight decay at a rate."""
    if group["weight_decay"] != 0:
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
