"""Every private name of DeepSpeed that neox uses, in one place; proved on DeepSpeed 0.19.

What the rest of the package needs of the engine is small: take a step that ends applied or skipped, and say where the authoritative
weights and the optimizer's state are stored.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from neox_core.config import Device
from neox_core.errors import UserError
from neox_core.parallel import Fragment, ShardSpec

Parameters = Mapping[str, nn.Parameter]
"""Canonical name -> live parameter."""


def import_deepspeed(device: Device) -> Any:
    """Import DeepSpeed for a kind of device, without its chatter and without compiling anything.

    Its shared-memory collectives for CPUs are built by the C++ compiler at first use, which takes half a minute and gains nothing
    over gloo for what is sent here; they are switched off.
    """
    os.environ.setdefault("DS_ACCELERATOR", device)
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists on it, even in a single process that nobody launched
    import deepspeed
    from deepspeed.utils import logger

    logger.setLevel(logging.WARNING)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


@contextmanager
def float32_kept(deepspeed: Any) -> Iterator[None]:
    """While DeepSpeed makes an engine it casts every parameter; those that are marked `keeps_float32` come back as they were.

    ZeRO flattens each group of parameters into one tensor, so `parameter_groups` has groups for them alone.
    """
    engine_class = deepspeed.DeepSpeedEngine
    cast = engine_class._cast_module_mixed_precision

    def cast_the_others(engine: Any, *args: Any, **kwargs: Any) -> None:
        kept = [(p, p.data) for p in engine.module.parameters() if getattr(p, "keeps_float32", False)]
        cast(engine, *args, **kwargs)
        for parameter, values in kept:
            parameter.data = values

    engine_class._cast_module_mixed_precision = cast_the_others
    try:
        yield
    finally:
        engine_class._cast_module_mixed_precision = cast


Observer = Callable[[Iterator[Fragment]], None]
"""Shown the gradients of a step that is about to be applied."""


class EngineCore(Protocol):
    """What depends on how DeepSpeed keeps gradients and optimizer state."""

    def step(self, observe: Observer | None = None) -> tuple[float, bool]:
        """Finish a step whose gradients are complete: (norm of the gradient before clipping, whether it was applied).

        Args:
            observe: shown the averaged gradients, not clipped, as fragments of the role "gradient" in float32, before the optimizer
                sees them. Each element of each parameter is in one rank's fragments, or in those of every rank: then each rank
                shows its share, so that sums over ranks count everything once.
        """

    def fragments(self) -> Iterator[Fragment]:
        """The authoritative weights and the optimizer's state that this rank has to save."""

    def weight_targets(self) -> Iterator[Fragment]:
        """Every place on this rank where weights are kept."""

    def targets(self) -> Iterator[Fragment]:
        """Everything that loading a checkpoint has to fill on this rank: those, and the optimizer's state."""


def make_core(engine: Any, parameters: Parameters, clipping: float, rank: int, world_size: int) -> EngineCore:
    """The core for the engine's ZeRO stage."""
    if engine.zero_optimization():
        return PartitionedCore(engine, parameters, rank, world_size)
    return PlainCore(engine, parameters, clipping, rank, world_size)


class PlainCore:
    """ZeRO 0 in float32: every rank has all gradients, weights and state, and torch's optimizer is stepped directly.

    DeepSpeed neither reports the gradient's norm here nor looks whether it is finite, so both are done before its step.
    """

    def __init__(self, engine: Any, parameters: Parameters, clipping: float, rank: int, world_size: int) -> None:
        self._engine, self._parameters, self._clipping = engine, parameters, clipping
        self._rank, self._world_size = rank, world_size
        engine.clip_fp32_gradients = lambda: None  # clipped in `step`, with the norm that is computed there anyway
        # Of a single rank all gradients would be copied together and apart for nothing.
        engine.enable_backward_allreduce = world_size > 1

    def step(self) -> tuple[float, bool]:
        """Clip and step, or drop the gradients when they are not finite."""
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        finite = bool(torch.isfinite(norm))
        if not finite:
            self._engine.module.zero_grad(set_to_none=True)  # torch's optimizers leave alone what has no gradient
        elif self._clipping > 0:
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self._clipping, norm)
        self._engine.step()
        return float(norm), finite

    def fragments(self) -> Iterator[Fragment]:
        """This rank's share: ranks take the parameters in turn."""
        for name, parameter in share(self._parameters.items(), self._rank, self._world_size):
            yield from self._of(name, parameter)

    def weight_targets(self) -> Iterator[Fragment]:
        """The parameters themselves."""
        return (whole(name, parameter) for name, parameter in self._parameters.items())

    def targets(self) -> Iterator[Fragment]:
        """All parameters and their state."""
        self._make_state()
        for name, parameter in self._parameters.items():
            yield from self._of(name, parameter)

    def _of(self, name: str, parameter: nn.Parameter) -> Iterator[Fragment]:
        yield (weight := whole(name, parameter))
        for role, value in self._engine.optimizer.state.get(parameter, {}).items():
            yield state_fragment(weight.spec, role, value, weight.range)

    def _make_state(self) -> None:
        for parameter in self._parameters.values():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
        step_without_effect(self._engine.optimizer)
        self._engine.module.zero_grad(set_to_none=True)


class PartitionedCore:
    """ZeRO 1: float32 weights and optimizer state are cut into flat pieces, one piece a rank; DeepSpeed clips and checks.

    Frozen parameters have no pieces: every rank has the weights that compute, and nothing else.
    """

    def __init__(self, engine: Any, parameters: Parameters, rank: int, world_size: int) -> None:
        self._engine, self._parameters, self._zero = engine, parameters, engine.optimizer
        self._rank, self._world_size = rank, world_size

    def step(self) -> tuple[float, bool]:
        """DeepSpeed computes the norm over all ranks, skips when it is not finite, and clips."""
        self._engine.step()
        return float(self._zero._global_grad_norm), not self._zero.overflow

    def fragments(self) -> Iterator[Fragment]:
        """The pieces of this rank's partition, and its share of frozen weights: ranks take them in turn."""
        yield from self._partition()
        frozen = [(name, parameter) for name, parameter in self._parameters.items() if not parameter.requires_grad]
        yield from (whole(name, parameter) for name, parameter in share(frozen, self._rank, self._world_size))

    def weight_targets(self) -> Iterator[Fragment]:
        """The float32 pieces, and the whole weights that compute, of which every rank has a copy."""
        yield from (weight for weight, _ in self._pieces())
        yield from (whole(name, parameter) for name, parameter in self._parameters.items())

    def targets(self) -> Iterator[Fragment]:
        """The pieces with their state, and the whole weights."""
        self._make_state()
        yield from self._partition()
        yield from (whole(name, parameter) for name, parameter in self._parameters.items())

    def _partition(self) -> Iterator[Fragment]:
        for weight, piece in self._pieces():
            yield weight
            for role, value in self._state_of(piece).items():
                yield state_fragment(weight.spec, role, value, weight.range)

    def _pieces(self) -> Iterator[tuple[Fragment, Any]]:
        for name, parameter in self._parameters.items():
            piece: Any = getattr(parameter, "_hp_mapping", None)
            if piece is not None:
                start, size = piece.lp_fragment_address.start, piece.lp_fragment_address.numel
                spec = ShardSpec.complete(name, tuple(parameter.shape))
                yield Fragment(spec, "weight", (start, start + size), piece.hp_fragment), piece

    def _state_of(self, piece: Any) -> dict[str, Any]:
        partition = self._zero.single_partition_of_fp32_groups[piece.param_group_index]
        window = piece.hp_fragment_address
        return {
            role: value.narrow(0, window.start, window.numel) if is_like(value, partition) else value
            for role, value in self._zero.optimizer.state.get(partition, {}).items()
        }

    def _make_state(self) -> None:
        partitions = self._zero.single_partition_of_fp32_groups
        for partition in partitions:
            partition.grad = torch.zeros_like(partition)
        step_without_effect(self._zero.optimizer)
        for partition in partitions:
            partition.grad = None


def share(named: Iterable[tuple[str, nn.Parameter]], rank: int, world_size: int) -> list[tuple[str, nn.Parameter]]:
    """Of what every rank has alike, the part that one rank answers for."""
    return list(named)[rank::world_size]


def whole(name: str, parameter: nn.Parameter) -> Fragment:
    """A parameter that is held whole, as one flat fragment of its storage."""
    return Fragment(
        ShardSpec.complete(name, tuple(parameter.shape)), "weight", (0, parameter.numel()), parameter.data.view(-1)
    )


def is_like(value: Any, whole: Tensor) -> bool:
    """Whether an optimizer's state has one entry for each element of the parameter."""
    return isinstance(value, Tensor) and value.shape == whole.shape and value.dim() > 0


def state_fragment(spec: ShardSpec, role: str, value: Any, covered: tuple[int, int]) -> Fragment:
    """One entry of an optimizer's state.

    Raises:
        UserError: it is neither one number nor one number for each element, so that it cannot be saved.
    """
    if isinstance(value, Tensor) and value.numel() == covered[1] - covered[0] and value.dim() > 0:
        return Fragment(spec, role, covered, value.view(-1))
    if isinstance(value, Tensor) and value.numel() == 1:
        return Fragment(spec, role, (0, 1), value.view(-1), scalar=True)
    raise UserError(
        f"optimizer: its state '{role}' of {spec.name} is {type(value).__name__}, which cannot be saved; "
        "an optimizer must keep its state in tensors of one element or of the parameter's size"
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
