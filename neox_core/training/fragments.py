"""Weights, gradients and optimizer state as fragments: what a rank saves, shows and has to be given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neox_core.errors import UserError
from neox_core.parallel import Axis, Fragment, Range, ShardSpec, is_copy


class Held(NamedTuple):
    """A parameter on this rank, and what it is of the global one."""

    name: str
    parameter: nn.Parameter
    spec: ShardSpec

    def owned(self, within: Range | None = None) -> list[Range]:
        """Runs of elements, within some or all, that this rank answers for, where ranks with the same weights do so in common."""
        return [] if is_copy(self.parameter) else self.spec.owned(within)

    def fragment(self, role: str = "weight", tensor: Tensor | None = None) -> Fragment:
        """All of the parameter, or of what there is for each of its elements, as one flat fragment of the storage."""
        values = self.parameter if tensor is None else tensor
        return Fragment(self.spec, role, (0, self.spec.local_size), values.detach().view(-1))

    def answered_for(self, fragment: Fragment) -> Iterator[Fragment]:
        """The parts of one of its fragments that this rank answers for.

        State that is not of each element is answered for by whoever answers for some of them.
        """
        if fragment.scalar or fragment.spec.global_shape != self.spec.global_shape:
            yield from [fragment] if self.owned() else []
            return
        first, _ = fragment.range
        for start, stop in self.owned(fragment.range):
            yield replace(fragment, range=(start, stop), tensor=fragment.tensor[start - first : stop - first])


def answered_for(held: Iterable[Held], whole: Iterable[Fragment]) -> Iterator[Fragment]:
    """Of state that optimizers have of whole parameters, what this rank answers for; each is on one rank of those that share it."""
    copies = {one.name for one in held if is_copy(one.parameter)}
    return (one for one in whole if one.name not in copies and one.spec.blocks[0].replica == 0)


def share(held: Iterable[Held], replicas: Axis) -> list[Held]:
    """Of what all ranks with the same weights hold alike, the part of this one: whole parameters, of about as many elements for each.

    The largest are dealt first, each to whoever has least (Graham, "Bounds on Multiprocessing Timing Anomalies", 1969).
    """
    alike, taken, own = list(held), [0] * replicas.size, set[int]()
    for number in sorted(range(len(alike)), key=lambda number: -alike[number].parameter.numel()):
        rank = taken.index(min(taken))
        taken[rank] += alike[number].parameter.numel()
        if rank == replicas.rank:
            own.add(number)
    return [one for number, one in enumerate(alike) if number in own]


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
