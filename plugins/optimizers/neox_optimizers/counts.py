"""Optimizers that count steps in Python numbers are made to keep them in tensors, which checkpoints can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def keep_counts_in_tensors(optimizer: torch.optim.Optimizer, *, alike: bool = False) -> torch.optim.Optimizer:
    """Between steps, let `state["step"]` of each parameter be a tensor of one element.

    Args:
        optimizer: what counts in numbers.
        alike: whether it counts only for one parameter of each group, whose count the others are to have too.

    Returns:
        The same optimizer.
    """

    def states(optimizer: torch.optim.Optimizer) -> Iterator[list[dict[str, Any]]]:
        for group in optimizer.param_groups:
            found = (optimizer.state.get(parameter, {}) for parameter in group["params"])
            yield [state for state in found if "step" in state]

    def to_numbers(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for of_group in states(optimizer):
            for state in of_group:
                state["step"] = int(state["step"])

    def to_tensors(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for of_group in states(optimizer):
            latest = max((state["step"] for state in of_group), default=0)
            for state in of_group:
                state["step"] = torch.tensor(float(latest if alike else state["step"]))

    optimizer.register_step_pre_hook(to_numbers)
    optimizer.register_step_post_hook(to_tensors)
    return optimizer
