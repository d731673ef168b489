"""Weights, gradients and optimizer state as fragments: what a rank saves, shows and has to be given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.errors import UserError
from neox_core.parallel import Fragment, Range, ShardSpec


def share(named: Iterable[tuple[str, nn.Parameter]], rank: int, world_size: int) -> list[tuple[str, nn.Parameter]]:
    """Of what every rank has alike, the part that one rank answers for."""
    return list(named)[rank::world_size]


def whole(name: str, tensor: Tensor, role: str = "weight") -> Fragment:
    """A tensor that is held whole, as one flat fragment of its storage."""
    spec = ShardSpec.complete(name, tuple(tensor.shape))
    return Fragment(spec, role, (0, tensor.numel()), tensor.detach().view(-1))


def state_fragment(spec: ShardSpec, role: str, value: Any, covered: Range) -> Fragment:
    """One entry of an optimizer's state.

    Args:
        spec: of the parameter.
        role: name of the entry.
        value: the entry: a number for each element of the parameter, or one number, or of a parameter that is held whole a tensor
            of any other shape, such as a number for each row.
        covered: elements of the parameter that the optimizer has.

    Raises:
        UserError: it is none of these, so that it cannot be saved.
    """
    if isinstance(value, Tensor) and value.numel() == covered[1] - covered[0] and value.dim() > 0:
        return Fragment(spec, role, covered, value.view(-1))
    if isinstance(value, Tensor) and value.numel() == 1:
        return Fragment(spec, role, (0, 1), value.view(-1), scalar=True)
    if isinstance(value, Tensor) and spec.is_complete and covered == (0, spec.local_size):
        return whole(spec.name, value, role)
    raise UserError(
        f"optimizer: its state '{role}' of {spec.name} is {type(value).__name__}, which cannot be saved; "
        "an optimizer must keep its state in tensors, and those that are neither of one element nor of the parameter's size only of "
        "whole parameters (`whole=True` in its descriptor)"
    )


def step_without_effect(optimizer: torch.optim.Optimizer) -> None:
    """Make an optimizer create its state: a step at rate 0. The numbers in the state are overwritten by whoever asks for this."""
    kept = [(group, group["lr"], group.get("weight_decay")) for group in optimizer.param_groups]
    for group, _, decay in kept:
        group["lr"] = 0.0
        if decay is not None:
            group["weight_decay"] = 0.0
    optimizer.step()
    for group, rate, decay in kept:
        group["lr"] = rate
        if decay is not None:
            group["weight_decay"] = decay
