"""Every private name of DeepSpeed that neox uses, in one place; proved on DeepSpeed 0.19.

What the rest of the package needs of the engine is small: take a step that ends applied or skipped, and say where the authoritative
weights and the optimizer's state are stored.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neox_core.config import Device
from neox_core.parallel import Fragment, ShardSpec
from neox_core.training.fragments import share, state_fragment, step_without_effect, whole
from neox_core.training.loss_scale import LossScale
from neox_core.training.weights_of_use import loaded, saved, weight_of_use
from neox_core.training.whole_parameters import Part, WholeParameters

Parameters = Mapping[str, nn.Parameter]
"""Canonical name -> live parameter."""


def import_deepspeed(device: Device) -> Any:
    """Import DeepSpeed for a kind of device, without its chatter and without compiling anything.

    What it says of optimizers that it has not tested is left out too: ours have been, and others a run asks for by name. So is that
    some of its options have new names.

    Its shared-memory collectives for CPUs are built by the C++ compiler at first use, which takes half a minute and gains nothing
    over gloo for what is sent here; they are switched off.
    """
    os.environ.setdefault("DS_ACCELERATOR", device)
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists on it, even in a single process that nobody launched
    import deepspeed
    from deepspeed.utils import logger

    logger.setLevel(logging.WARNING)
    logger.addFilter(_is_news)
    # Of torch, about calls that DeepSpeed makes.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if device == "cpu":  # DeepSpeed wants a processor with instructions for fp16; torch computes it on any
        deepspeed.accelerator.get_accelerator().is_fp16_supported = lambda: True
    return deepspeed


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of DeepSpeed's says what was not decided before the run was launched, or is about its own names.

    GPT-NeoX's files have `cpu_offload: false`, of which it says that it has another name now.
    """
    message = record.getMessage()
    return "untested optimizer" not in message and not re.match(r"Config parameter \w+ is deprecated", message)


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


Observer = Callable[[Iterable[Fragment]], None]
"""Shown gradients of a step that is about to be applied."""


class EngineCore(Protocol):
    """What depends on how DeepSpeed keeps gradients and optimizer state.

    Args:
        loss_scale: the factor of the loss in fp16, which is to be told of each step when it is over.
    """

    loss_scale: LossScale | None

    def step(self, observe: Observer | None = None) -> tuple[float, bool]:
        """Finish a step whose gradients are complete: (norm of the gradient before clipping, whether it was applied).

        Args:
            observe: shown the averaged gradients before they are clipped, as fragments of the role "gradient" in float32, some at a
                time. Each element of each parameter is in the fragments of one rank.
        """

    def fragments(self) -> Iterator[Fragment]:
        """The authoritative weights and the optimizer's state that this rank has to save."""

    def weight_targets(self) -> Iterator[Fragment]:
        """Every place on this rank where weights are kept."""

    def targets(self) -> Iterator[Fragment]:
        """Everything that loading a checkpoint has to fill on this rank, in this order: those, and the optimizer's state."""

    def rank_fragments(self) -> Iterable[Fragment]:
        """What each rank has to save of its own, for itself: with other ranks it begins anew."""

    def refresh(self) -> None:
        """Make the weights that compute from the authoritative ones; every rank has to call it at once."""

    def optimized(self) -> Iterable[Tensor]:
        """What the optimizer moves: the parameters, or what stands for them."""


def make_core(engine: Any, parameters: Parameters, clipping: float) -> EngineCore:
    """The core for the engine's ZeRO stage."""
    if engine.zero_optimization():
        return PartitionedCore(engine, parameters, clipping)
    return PlainCore(engine, parameters, clipping)


class PlainCore:
    """ZeRO 0 in float32: every rank has all gradients, weights and state, and torch's optimizer is stepped directly.

    DeepSpeed neither reports the gradient's norm here nor looks whether it is finite, so both are done before its step.
    """

    loss_scale: LossScale | None = None

    def __init__(self, engine: Any, parameters: Parameters, clipping: float) -> None:
        self._engine, self._parameters, self._clipping = engine, parameters, clipping
        self._rank, self._world_size = dist.get_rank(), dist.get_world_size()
        engine.clip_fp32_gradients = lambda: None  # clipped in `step`, with the norm that is computed there anyway
        self._choose_reduction()

    def _choose_reduction(self) -> None:
        """Whether DeepSpeed averages the gradients of the next step.

        Of a single rank it would copy all of them together and apart for nothing; an optimizer may do it by itself.
        """
        self._stay_local = bool(getattr(self._engine.optimizer, "gradients_stay_local", False))
        self._engine.enable_backward_allreduce = self._world_size > 1 and not self._stay_local

    def step(self, observe: Observer | None = None) -> tuple[float, bool]:
        """Clip and step, or drop the gradients when they are not finite.

        Of gradients that stay on their ranks the norm is the root of the mean square over ranks (that of their average, which is no
        larger, is not known), and there are none to show.
        """
        gradients = {name: p.grad for name, p in self._parameters.items() if p.grad is not None}
        norm = torch.nn.utils.get_total_norm(list(gradients.values()))
        if self._stay_local and self._world_size > 1:
            dist.all_reduce(norm.square_())
            norm = (norm / self._world_size).sqrt_()
        finite = bool(torch.isfinite(norm))
        if not finite:
            self._engine.module.zero_grad(set_to_none=True)  # torch's optimizers leave alone what has no gradient
        elif observe is not None and not (self._stay_local and self._world_size > 1):
            own = share(self._parameters.items(), self._rank, self._world_size)
            observe(whole(name, gradients[name], "gradient") for name, _ in own if name in gradients)
        if finite and self._clipping > 0:
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self._clipping, norm)
        self._engine.step()
        self._choose_reduction()
        return float(norm), finite

    def fragments(self) -> Iterator[Fragment]:
        """This rank's share: ranks take the parameters in turn."""
        optimizer = self._engine.optimizer
        for name, parameter in share(self._parameters.items(), self._rank, self._world_size):
            yield from saved(whole(name, parameter), weight_of_use(optimizer, parameter))
            yield from self._state(name, parameter)

    def weight_targets(self) -> Iterator[Fragment]:
        """The parameters themselves."""
        return (whole(name, parameter) for name, parameter in self._parameters.items())

    def targets(self) -> Iterator[Fragment]:
        """All parameters and their state."""
        self._make_state()
        for name, parameter in self._parameters.items():
            weight = whole(name, parameter)
            yield from loaded(weight, self._engine.optimizer) if parameter.requires_grad else (weight,)
            yield from self._state(name, parameter)

    def rank_fragments(self) -> Iterable[Fragment]:
        """Of an optimizer that averages gradients itself."""
        optimizer = self._engine.optimizer
        return optimizer.rank_fragments() if hasattr(optimizer, "rank_fragments") else ()

    def refresh(self) -> None:
        """They are the same."""
        self._choose_reduction()

    def optimized(self) -> Iterable[Tensor]:
        """The parameters."""
        return self._parameters.values()

    def _state(self, name: str, parameter: nn.Parameter) -> Iterator[Fragment]:
        spec = ShardSpec.complete(name, tuple(parameter.shape))
        for role, value in self._engine.optimizer.state.get(parameter, {}).items():
            yield state_fragment(spec, role, value, (0, parameter.numel()))

    def _make_state(self) -> None:
        for parameter in self._parameters.values():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
        step_without_effect(self._engine.optimizer)
        self._engine.module.zero_grad(set_to_none=True)


class PartitionedCore:
    """ZeRO 1: float32 weights and optimizer state are cut into flat pieces, one piece a rank; DeepSpeed clips and checks.

    Frozen parameters have no pieces: every rank has the weights that compute, and nothing else.
    """

    def __init__(self, engine: Any, parameters: Parameters, clipping: float) -> None:
        self._engine, self._parameters, self._clipping = engine, parameters, clipping
        self._zero = engine.optimizer
        self._optimizer = self._zero.optimizer
        self._rank, self._world_size = dist.get_rank(), dist.get_world_size()
        self._observe: Observer | None = None
        if isinstance(self._optimizer, WholeParameters):
            self._optimizer.bind(self._zero.single_partition_of_fp32_groups, self._parts())
        self._optimizer.register_step_pre_hook(self._show_gradients)
        self.loss_scale = LossScale(self._zero.loss_scaler) if engine.fp16_enabled() else None
        self._zero._update_scale = lambda has_overflow: None  # `loss_scale` says why

    def step(self, observe: Observer | None = None) -> tuple[float, bool]:
        """DeepSpeed computes the norm over all ranks, skips when it is not finite, and clips."""
        self._observe = observe
        self._engine.step()
        self._observe = None
        return float(self._zero._global_grad_norm), not self._zero.overflow

    def _show_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Called before each group is stepped, when its gradients are whole, unscaled and clipped."""
        if self._observe is None:
            return
        norm = float(self._zero._global_grad_norm)
        clipped = max((norm + 1e-6) / self._clipping, 1.0) if self._clipping > 0 else 1.0
        stepped = {id(group["params"][0]) for group in optimizer.param_groups}
        self._observe(
            Fragment(weight.spec, "gradient", weight.range, self._window(gradient, piece) * clipped)
            for weight, piece in self._pieces()
            if id(self._partition(piece)) in stepped and (gradient := self._partition(piece).grad) is not None
        )

    def fragments(self) -> Iterator[Fragment]:
        """The pieces of this rank's partition with their state, and its share of frozen weights: ranks take them in turn."""
        of_use = [weight_of_use(self._optimizer, partition) for partition in self.optimized()]
        for weight, piece in self._pieces():
            used = of_use[piece.param_group_index]
            yield from saved(weight, None if used is None else self._window(used, piece))
            yield from self._state_of(weight, piece)
        yield from self._whole_state()
        frozen = [(name, parameter) for name, parameter in self._parameters.items() if not parameter.requires_grad]
        yield from (whole(name, parameter) for name, parameter in share(frozen, self._rank, self._world_size))

    def weight_targets(self) -> Iterator[Fragment]:
        """The float32 pieces, and the whole weights that compute, of which every rank has a copy."""
        yield from (weight for weight, _ in self._pieces())
        yield from (whole(name, parameter) for name, parameter in self._parameters.items())

    def targets(self) -> Iterator[Fragment]:
        """The pieces with their state, and the whole weights."""
        self._make_state()
        yield from (whole(name, parameter) for name, parameter in self._parameters.items())
        for weight, piece in self._pieces():
            yield from loaded(weight, self._optimizer)
            yield from self._state_of(weight, piece)
        yield from self._whole_state()

    def rank_fragments(self) -> Iterable[Fragment]:
        """Nothing."""
        return ()

    def refresh(self) -> None:
        """The pieces of all ranks, in the number format that computes."""
        self._zero.update_lp_params()

    def optimized(self) -> Iterable[Tensor]:
        """The flat partitions."""
        partitions: list[Tensor] = self._zero.single_partition_of_fp32_groups
        return partitions

    def _pieces(self) -> Iterator[tuple[Fragment, Any]]:
        for name, parameter in self._parameters.items():
            piece: Any = getattr(parameter, "_hp_mapping", None)
            if piece is not None:
                start, size = piece.lp_fragment_address.start, piece.lp_fragment_address.numel
                spec = ShardSpec.complete(name, tuple(parameter.shape))
                yield Fragment(spec, "weight", (start, start + size), piece.hp_fragment), piece

    def _partition(self, piece: Any) -> Tensor:
        partition: Tensor = self._zero.single_partition_of_fp32_groups[piece.param_group_index]
        return partition

    @staticmethod
    def _window(flat: Tensor, piece: Any) -> Tensor:
        return flat.narrow(0, piece.hp_fragment_address.start, piece.hp_fragment_address.numel)

    def _parts(self) -> list[list[Part]]:
        """What each group's partition consists of on this rank."""
        parts: list[list[Part]] = [[] for _ in self._zero.single_partition_of_fp32_groups]
        for weight, piece in self._pieces():
            start, stop = weight.range
            place = piece.hp_fragment_address.start
            parts[piece.param_group_index].append(
                Part(weight.name, weight.spec.global_shape, start, stop - start, place)
            )
        return parts

    def _state_of(self, weight: Fragment, piece: Any) -> Iterator[Fragment]:
        partition = self._partition(piece)
        for role, value in self._optimizer.state.get(partition, {}).items():
            like = isinstance(value, Tensor) and value.shape == partition.shape
            yield state_fragment(weight.spec, role, self._window(value, piece) if like else value, weight.range)

    def _whole_state(self) -> Iterator[Fragment]:
        return self._optimizer.fragments() if isinstance(self._optimizer, WholeParameters) else iter(())

    def _make_state(self) -> None:
        partitions = self._zero.single_partition_of_fp32_groups
        for partition in partitions:
            partition.grad = torch.zeros_like(partition)
        step_without_effect(self._optimizer)
        for partition in partitions:
            partition.grad = None
