"""ZeRO 1 and 2: optimizer state, and in stage 2 gradients too, are cut into flat partitions of groups of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.parallel import Fragment, Mesh, Range
from neox_core.training.deepspeed_core import Observer, Parameters, held_on, take_step
from neox_core.training.fragments import Held, share, state_fragment, step_without_effect
from neox_core.training.gradient_norm import global_norm, joined, within
from neox_core.training.loss_scale import LossScale
from neox_core.training.weights_of_use import loaded, saved, weight_of_use
from neox_core.training.whole_parameters import Part, WholeParameters


class PartitionedCore:
    """Float32 weights and optimizer state are cut into flat pieces, one piece a rank of those with the same weights.

    DeepSpeed clips, and skips what is not finite, by the norm that it is given here. Frozen parameters have no pieces: every rank
    has the weights that compute, and nothing else.
    """

    def __init__(self, engine: Any, parameters: Parameters, clipping: float, mesh: Mesh) -> None:
        self._engine, self._clipping, self._replicas = engine, clipping, mesh.replicas
        self.held = held_on(mesh, parameters)
        self._zero = engine.optimizer
        self._optimizer = self._zero.optimizer
        self._observe: Observer | None = None
        self._norm, self._drop = torch.zeros(()), False
        if isinstance(self._optimizer, WholeParameters):
            self._optimizer.bind(self._zero.single_partition_of_fp32_groups, self._parts(), mesh.replicas)
        self._optimizer.register_step_pre_hook(self._show_gradients)
        self.loss_scale = LossScale(self._zero.loss_scaler) if engine.fp16_enabled() else None
        self._zero._update_scale = lambda has_overflow: None  # `loss_scale` says why
        self._owned = self._owned_runs()
        self._zero.scaled_global_norm = self._scaled_norm
        self._zero.check_overflow = lambda *_, **__: None  # the norm tells

    def step(self, observe: Observer | None = None, *, drop: bool = False) -> tuple[float, bool]:
        """DeepSpeed asks for the norm, skips when it is not finite, and clips."""
        self._observe, self._drop = observe, drop
        take_step(self._engine)
        self._observe = None
        return float(self._norm) / float(self._zero.loss_scale), not self._zero.overflow

    def _scaled_norm(self) -> Tensor:
        """That of the averaged gradients, times the factor of the loss."""
        zero, parts = self._zero, list[Tensor]()
        for index, partition in enumerate(zero.single_partition_of_fp32_groups):
            gradients = [partition.grad] if zero.cpu_offload else zero.averaged_gradients[index]
            parts += within(gradients, self._owned[index])
        self._norm = global_norm(parts, self._engine.device)
        return torch.full_like(self._norm, torch.inf) if self._drop else self._norm

    def _owned_runs(self) -> list[list[Range]]:
        """What this rank answers for of its partition of each group."""
        runs: list[list[Range]] = [[] for _ in self._zero.single_partition_of_fp32_groups]
        for held, weight, piece in self._pieces():
            shift = piece.hp_fragment_address.start - weight.range[0]
            runs[piece.param_group_index] += [(start + shift, stop + shift) for start, stop in held.owned(weight.range)]
        return [joined(of_group) for of_group in runs]

    def _show_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Called before each group is stepped, when its gradients are whole, unscaled and clipped."""
        if self._observe is None:
            return
        norm = float(self._norm) / float(self._zero.loss_scale)
        clipped = max((norm + 1e-6) / self._clipping, 1.0) if self._clipping > 0 else 1.0
        stepped = {id(group["params"][0]) for group in optimizer.param_groups}
        self._observe(
            part
            for held, weight, piece in self._pieces()
            if id(self._partition(piece)) in stepped and (gradient := self._partition(piece).grad) is not None
            for part in held.answered_for(
                Fragment(weight.spec, "gradient", weight.range, self._window(gradient, piece) * clipped)
            )
        )

    def fragments(self) -> Iterator[Fragment]:
        """The pieces of this rank's partition with their state, and its share of frozen weights."""
        of_use = [weight_of_use(self._optimizer, partition) for partition in self.optimized()]
        for held, weight, piece in self._pieces():
            used = of_use[piece.param_group_index]
            for kept in saved(weight, None if used is None else self._window(used, piece)):
                yield from held.answered_for(kept)
            for state in self._state_of(weight, piece):
                yield from held.answered_for(state)
        yield from self._whole_state()
        frozen = [held for held in self.held if not held.parameter.requires_grad]
        for held in share(frozen, self._replicas):
            yield from held.answered_for(held.fragment())

    def weight_targets(self) -> Iterator[Fragment]:
        """The float32 pieces, and the weights that compute, of which every rank has a copy."""
        yield from (weight for _, weight, _ in self._pieces())
        yield from (held.fragment() for held in self.held)

    def targets(self) -> Iterator[Fragment]:
        """The pieces with their state, and the weights that compute."""
        self._make_state()
        yield from (held.fragment() for held in self.held)
        for _, weight, piece in self._pieces():
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

    def gathered(self, *parameters: nn.Parameter) -> AbstractContextManager[None]:
        """They are whole anyway."""
        return nullcontext()

    def _pieces(self) -> Iterator[tuple[Held, Fragment, Any]]:
        """Each parameter that this rank's partitions have a part of, the float32 part, and where DeepSpeed has it."""
        for held in self.held:
            piece: Any = getattr(held.parameter, "_hp_mapping", None)
            if piece is not None:
                start, size = piece.lp_fragment_address.start, piece.lp_fragment_address.numel
                yield held, Fragment(held.spec, "weight", (start, start + size), piece.hp_fragment), piece

    def _partition(self, piece: Any) -> Tensor:
        partition: Tensor = self._zero.single_partition_of_fp32_groups[piece.param_group_index]
        return partition

    @staticmethod
    def _window(flat: Tensor, piece: Any) -> Tensor:
        return flat.narrow(0, piece.hp_fragment_address.start, piece.hp_fragment_address.numel)

    def _parts(self) -> list[list[Part]]:
        """What each group's partition consists of on this rank."""
        parts: list[list[Part]] = [[] for _ in self._zero.single_partition_of_fp32_groups]
        for held, weight, piece in self._pieces():
            start, stop = weight.range
            place = piece.hp_fragment_address.start
            parts[piece.param_group_index].append(Part(held.name, held.spec.local_shape, start, stop - start, place))
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
        gradients = [partition.grad for partition in partitions]
        for partition in partitions:
            partition.grad = torch.zeros_like(partition)
        step_without_effect(self._optimizer)
        for partition, gradient in zip(partitions, gradients, strict=True):
            partition.grad = gradient  # with offloading it is DeepSpeed's buffer
