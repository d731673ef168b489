"""What the engine needs to know of how DeepSpeed keeps weights, gradients and optimizer state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from neox_core.parallel import Fragment, Mesh, cut, cut_of, spec_of
from neox_core.training.fragments import Held
from neox_core.training.loss_scale import LossScale

Parameters = Mapping[str, nn.Parameter]
"""Canonical name -> live parameter."""

Observer = Callable[[Iterable[Fragment]], None]
"""Shown gradients of a step that is about to be applied."""


class EngineCore(Protocol):
    """What depends on how DeepSpeed keeps gradients and optimizer state.

    Args:
        loss_scale: the factor of the loss in fp16, which is to be told of each step when it is over.
        held: what this rank holds of each parameter.
    """

    loss_scale: LossScale | None
    held: list[Held]

    def step(self, observe: Observer | None = None, *, drop: bool = False) -> tuple[float, bool]:
        """Finish a step whose gradients are complete: (norm of the gradient before clipping, whether it was applied).

        All ranks of the run, of all stages too, have to call it, and get the same.

        Args:
            observe: shown the averaged gradients before they are clipped, as fragments of the role "gradient" in float32, some at a
                time. Each element of each parameter is in the fragments of one rank.
            drop: forget the gradients, as if they were not finite.
        """

    def fragments(self) -> Iterator[Fragment]:
        """The authoritative weights and the optimizer's state that this rank has to save.

        Each element of each parameter is in those of one rank.
        """

    def weight_targets(self) -> Iterator[Fragment]:
        """Every place on this rank that weights are loaded into, before `refresh`."""

    def targets(self) -> Iterator[Fragment]:
        """Everything that loading a checkpoint has to fill on this rank, in this order: those, and the optimizer's state."""

    def rank_fragments(self) -> Iterable[Fragment]:
        """What each rank has to save of its own, for itself: with other ranks it begins anew."""

    def refresh(self) -> None:
        """Make the weights that compute from the authoritative ones; every rank has to call it at once."""

    def optimized(self) -> Iterable[Tensor]:
        """What the optimizer moves: the parameters, or what stands for them."""

    def gathered(self, *parameters: nn.Parameter) -> AbstractContextManager[None]:
        """While it lasts, these are there as the model has them, to be read; every rank with the same weights has to enter it."""


def held_on(mesh: Mesh, parameters: Parameters) -> list[Held]:
    """What this rank holds of each parameter."""
    return [Held(name, p, spec_of(name, _as_made(p), mesh.tensor)) for name, p in parameters.items()]


def _as_made(parameter: nn.Parameter) -> nn.Parameter:
    """Something of a parameter's shape and cut: those that ZeRO 3 cuts are empty when they are not used."""
    if not hasattr(parameter, "ds_shape"):
        return parameter
    like = nn.Parameter(torch.empty(parameter.ds_shape, device="meta"), requires_grad=False)
    said = cut_of(parameter)
    return like if said is None else cut(like, *said)


def take_step(engine: Any) -> None:
    """Let DeepSpeed step the optimizer."""
    if engine.pipeline_parallelism:
        engine._take_model_step(None)  # the engine of a pipeline has no step of its own
    else:
        engine.step()
