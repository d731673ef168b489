"""1-bit Adam (Tang et al., 2021): Adam, until its variance is frozen; then its momentum is averaged over ranks in one bit each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.parallel import Fragment, ShardSpec
from neox_optimizers.grouped import GroupedOptimizer, State, column, count, decay, number
from neox_optimizers.moments import adam_directions, no_moments
from neox_optimizers.params import OneBitAdamParams
from neox_optimizers.sign_average import SignAverage


class OneBitAdam(GroupedOptimizer):
    """AdamW for `freeze_step` steps, whose gradients come averaged over the ranks.

    After those each rank takes its own gradient into the common momentum, and the average of what results is the next common
    momentum. With the variance frozen this is what Adam would do; what the compression leaves out is sent with later steps.

    An element that signs make move farther than it should, because its frozen variance is next to nothing, is held to `bound`
    times the rate; one without any variance is not moved at all. The paper has no bound.
    """

    def __init__(self, groups: list[dict[str, Any]], params: OneBitAdamParams) -> None:
        super().__init__(groups, {"lr": params.lr})
        self._betas, self._eps, self._bound = params.betas, params.eps, params.bound
        self._freeze_step = params.freeze_step
        self._average: SignAverage | None = None

    @property
    def gradients_stay_local(self) -> bool:
        """Whether the gradients of the next step have to come as each rank computed them."""
        steps = next((state["step"] for state in self.state.values() if state), None)
        return steps is not None and int(steps) >= self._freeze_step

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """Adam's moments, and how many steps the variance has seen."""
        return no_moments(parameter) | {"variance_steps": number()}

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """AdamW's, as long as the variance is not frozen."""
        directions = adam_directions(gradients, states, self._betas, self._eps)
        torch._foreach_add_(column(states, "variance_steps"), 1)
        decay(group, parameters, group["lr"])
        torch._foreach_add_(parameters, directions, alpha=-group["lr"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; every rank takes it at once."""
        if not self.gradients_stay_local:
            return super().step(closure)
        members = [(group, parameter) for group, _, parameter in self._members()]
        if all(parameter.grad is None for _, parameter in members):
            return None  # a step that is skipped, which all ranks skip at once
        if _ranks() == 1:  # of several, another rank may have the gradient that is missing here
            members = [(group, parameter) for group, parameter in members if parameter.grad is not None]
        states = [self.state[parameter] for _, parameter in members]
        momenta = column(states, "exp_avg")
        torch._foreach_mul_(momenta, self._betas[0])
        for (_, parameter), momentum in zip(members, momenta, strict=True):
            if parameter.grad is not None:
                momentum.add_(parameter.grad, alpha=1 - self._betas[0])
        if _ranks() > 1:
            for momentum, average in zip(momenta, self._averages()(momenta), strict=True):
                momentum.copy_(average.view_as(momentum))
        steps = count(states)
        for (group, parameter), state, taken in zip(members, states, steps, strict=True):
            decay(group, [parameter], group["lr"])
            parameter.add_(self._frozen_direction(state, taken), alpha=-group["lr"])
        return None

    def _frozen_direction(self, state: State, steps: float) -> Tensor:
        """The update at rate 1."""
        variance = state["exp_avg_sq"] / (1 - self._betas[1] ** float(state["variance_steps"]))
        direction: Tensor = state["exp_avg"] / (1 - self._betas[0] ** steps) / (variance.sqrt() + self._eps)
        return direction.clamp_(-self._bound, self._bound).masked_fill_(variance == 0, 0.0)

    def _members(self) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
        """What has a state: group, name and parameter."""
        for group in self.param_groups:
            names = group.get("names", [""] * len(group["params"]))
            for name, parameter in zip(names, group["params"], strict=True):
                if self.state.get(parameter):
                    yield group, name, parameter

    def _averages(self) -> SignAverage:
        if self._average is None:
            members = [parameter for _, _, parameter in self._members()]
            self._average = SignAverage([parameter.numel() for parameter in members], members[0])
        return self._average

    def rank_fragments(self) -> Iterator[Fragment]:
        """What this rank alone remembers: what it has left out in sending, and in telling the others of the average."""
        if not self.gradients_stay_local or _ranks() == 1:
            return
        average = self._averages()
        members = [(name, parameter) for _, name, parameter in self._members()]
        specs = [ShardSpec.complete(name, tuple(parameter.shape)) for name, parameter in members]
        left_out = torch.split(average.sent_error, average.sizes)
        for spec, error in zip(specs, left_out, strict=False):
            yield Fragment(spec, f"rank.sent_error.{average.rank}", (0, error.numel()), error)
        for index, start, error in average.windows():
            if index < len(specs):
                yield Fragment(specs[index], "rank.told_error", (start, start + error.numel()), error)


def _ranks() -> int:
    """How many there are; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def build(groups: list[dict[str, Any]], params: OneBitAdamParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups."""
    return OneBitAdam(groups, params)
