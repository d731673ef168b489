"""Sign of the momentum (Bernstein et al., 2018), with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from acme_neox.optimizer_params import SignumParams


class Signum(torch.optim.Optimizer):
    """Steps every weight by the learning rate against the sign of the gradient's running mean."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        state["mean"].lerp_(parameter.grad, 1 - group["momentum"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(state["mean"].sign(), alpha=group["lr"])


def build(groups: list[dict[str, Any]], params: SignumParams) -> Signum:
    """The optimizer over parameter groups that say their own weight decay."""
    return Signum(groups, params.lr, params.momentum)
