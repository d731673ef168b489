"""ZeRO 0: DeepSpeed averages gradients, and steps torch's optimizer directly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.parallel import Fragment, Mesh
from neox_core.training.clip_norm import times_of
from neox_core.training.deepspeed.core import Observer, Parameters, held_on, take_step
from neox_core.training.fragments import Held, answered_for, share, state_fragment, step_without_effect
from neox_core.training.gradient_norm import global_norm, norm_as_counted, within
from neox_core.training.loss_scale import LossScale
from neox_core.training.weights_of_use import loaded, saved, weight_of_use
from neox_core.training.whole_parameters import WholeParameters
from neox_core.training.whole_parts import Part


class PlainCore:
    """ZeRO 0 in float32: every rank has all gradients, weights and state of what it holds.

    DeepSpeed neither reports the gradient's norm here nor looks whether it is finite, so both are done before its step.
    """

    loss_scale: LossScale | None = None

    def __init__(
        self, engine: Any, parameters: Parameters, clipping: float, mesh: Mesh, *, as_counted: bool = False
    ) -> None:
        self._engine, self._clipping, self._replicas = engine, clipping, mesh.replicas
        self.held = held_on(mesh, parameters)
        self._as_counted = as_counted
        if isinstance(engine.optimizer, WholeParameters):
            self._bind(engine.optimizer, mesh)
        engine.clip_fp32_gradients = lambda: None  # clipped in `step`, with the norm that is computed there anyway
        self._choose_reduction()

    def _bind(self, optimizer: WholeParameters, mesh: Mesh) -> None:
        """Each parameter is a storage of its own. Ranks that have the same ones update them alike."""
        specs = {id(held.parameter): held.spec for held in self.held}
        members = [(p, index) for index, group in enumerate(optimizer.param_groups) for p in group["params"]]
        # A stage of a pipeline where nothing is trained has a parameter that is none of the model's.
        parts = [[Part(specs[id(p)], 0, p.numel(), 0)] if id(p) in specs else [] for p, _ in members]
        groups = [index for _, index in members]
        optimizer.bind([p for p, _ in members], parts, mesh.tensor, columns=mesh.tensor.size, groups=groups)

    def _choose_reduction(self) -> None:
        """Whether DeepSpeed averages the gradients of the next step.

        Of a single rank it would copy all of them together and apart for nothing; an optimizer may do it by itself.
        """
        local = bool(getattr(self._engine.optimizer, "gradients_stay_local", False))
        self._stay_local = local and self._replicas.size > 1
        switch = "enable_backward_allreduce"
        switch = f"pipeline_{switch}" if self._engine.pipeline_parallelism else switch
        setattr(self._engine, switch, self._replicas.size > 1 and not local)

    def step(self, observe: Observer | None = None, *, drop: bool = False) -> tuple[float, bool]:
        """Clip and step, or drop the gradients when they are not finite.

        Of gradients that stay on their ranks the norm is the root of the mean square over ranks (that of their average, which is no
        larger, is not known), and there are none to show.
        """
        norm = self._norm()
        finite = bool(torch.isfinite(norm)) and not drop
        if not finite:
            self._engine.module.zero_grad(set_to_none=True)  # torch's optimizers leave alone what has no gradient
        elif observe is not None and not self._stay_local:
            observe(part for held, gradient in self._gradients() for part in _shown(held, gradient))
        if finite and self._clipping > 0:
            parameters = [held.parameter for held in self.held]
            torch.nn.utils.clip_grads_with_norm_(parameters, self._clipping, norm.float())
        take_step(self._engine)
        self._choose_reduction()
        return float(norm), finite

    def _norm(self) -> Tensor:
        copies = self._replicas.size if self._stay_local else 1
        counted = [
            (part, times_of(held.parameter))
            for held, gradient in self._gradients()
            for part in within([gradient], held.owned())
        ]
        if self._as_counted:
            return norm_as_counted(counted, self._engine.device, copies)
        return global_norm([part for part, _ in counted], self._engine.device, copies)

    def _gradients(self) -> Iterator[tuple[Held, Tensor]]:
        """Those of this rank's share: all, where they differ from rank to rank."""
        for held in self.held if self._stay_local else share(self.held, self._replicas):
            if held.parameter.grad is not None:
                yield held, held.parameter.grad

    def fragments(self) -> Iterator[Fragment]:
        """This rank's share."""
        optimizer = self._engine.optimizer
        for held in share(self.held, self._replicas):
            for weight in saved(held.fragment(), weight_of_use(optimizer, held.parameter)):
                yield from held.answered_for(weight)
            for state in self._state(held):
                yield from held.answered_for(state)
        if self._replicas.is_first:
            yield from answered_for(self.held, self._whole_state())

    def weight_targets(self) -> Iterator[Fragment]:
        """The parameters themselves."""
        return (held.fragment() for held in self.held)

    def targets(self) -> Iterator[Fragment]:
        """All parameters and their state."""
        self._make_state()
        for held in self.held:
            weight = held.fragment()
            yield from loaded(weight, self._engine.optimizer) if held.parameter.requires_grad else (weight,)
            yield from self._state(held)
        yield from self._whole_state()

    def rank_fragments(self) -> Iterable[Fragment]:
        """Of an optimizer that averages gradients itself."""
        optimizer = self._engine.optimizer
        return optimizer.rank_fragments() if hasattr(optimizer, "rank_fragments") else ()

    def refresh(self) -> None:
        """They are the same."""
        self._choose_reduction()

    def optimized(self) -> Iterable[nn.Parameter]:
        """The parameters."""
        return (held.parameter for held in self.held)

    def gathered(self, *parameters: nn.Parameter) -> AbstractContextManager[None]:
        """They are whole anyway."""
        return nullcontext()

    def _state(self, held: Held) -> Iterator[Fragment]:
        for role, value in self._engine.optimizer.state.get(held.parameter, {}).items():
            yield state_fragment(held.spec, role, value, (0, held.spec.local_size))

    def _whole_state(self) -> Iterator[Fragment]:
        optimizer = self._engine.optimizer
        return optimizer.fragments() if isinstance(optimizer, WholeParameters) else iter(())

    def _make_state(self) -> None:
        for held in self.held:
            held.parameter.grad = torch.zeros_like(held.parameter) if held.parameter.requires_grad else None
        step_without_effect(self._engine.optimizer)
        self._engine.module.zero_grad(set_to_none=True)


def _shown(held: Held, gradient: Tensor) -> Iterator[Fragment]:
    return held.answered_for(held.fragment("gradient", gradient))
