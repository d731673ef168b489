"""ZeRO 3: each parameter is cut into as many pieces as there are ranks with the same weights, and gathered when it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neox_core.parallel import Fragment, Mesh, Range
from neox_core.training.deepspeed_core import Observer, Parameters, held_on, take_step
from neox_core.training.fragments import Held, state_fragment, step_without_effect
from neox_core.training.gradient_norm import global_norm, joined, within
from neox_core.training.loss_scale import LossScale
from neox_core.training.weights_of_use import loaded, saved, weight_of_use
from neox_core.training.whole_parameters import Part, WholeParameters


class Piece(NamedTuple):
    """This rank's piece of a parameter that is trained.

    Args:
        held: the parameter.
        covered: its elements.
        group: which of DeepSpeed's groups it is in; a group is one flat partition.
        place: where it begins in the partition.
    """

    held: Held
    covered: Range
    group: int
    place: int

    @property
    def size(self) -> int:
        """Number of elements, without what pads the last ranks' pieces."""
        return self.covered[1] - self.covered[0]

    def within(self, partition: Tensor) -> Tensor:
        """Its elements of a tensor that is like the partition."""
        return partition.detach().narrow(0, self.place, self.size)

    def fragment(self, role: str, partition: Tensor) -> Fragment:
        """Those as a fragment."""
        return Fragment(self.held.spec, role, self.covered, self.within(partition))


class ShardedCore:
    """Every rank has its piece of every parameter, of its float32 original and of the optimizer's state.

    DeepSpeed clips, and skips what is not finite, by the norm that it is given here.
    """

    def __init__(self, engine: Any, parameters: Parameters, clipping: float, mesh: Mesh) -> None:
        self._engine, self._clipping, self._rank = engine, clipping, mesh.replicas.rank
        self.held = held_on(mesh, parameters)
        self._zero = engine.optimizer
        self._optimizer = self._zero.optimizer
        self._pieces = [piece for held in self.held if (piece := self._piece(held)) is not None]
        self._observe: Observer | None = None
        self._norm, self._drop = torch.zeros(()), False
        if isinstance(self._optimizer, WholeParameters):
            groups = [self._zero.sub_group_to_group_id[index] for index in range(len(self._partitions))]
            self._optimizer.bind(self._partitions, self._parts(), mesh.replicas, groups)
        self._optimizer.register_step_pre_hook(self._show_gradients)
        self.loss_scale = LossScale(self._zero.loss_scaler) if engine.fp16_enabled() else None
        self._zero._update_scale = lambda has_overflow: None  # `loss_scale` says why
        self._owned = self._owned_runs()
        self._zero._get_norm_groups = lambda: [self._scaled_norm()]
        self._zero.check_overflow = lambda *_, **__: None  # the norm tells

    @property
    def _partitions(self) -> list[Tensor]:
        """The flat float32 partitions."""
        partitions: list[Tensor] = self._zero.fp32_partitioned_groups_flat
        return partitions

    def _covered(self, held: Held) -> Range:
        """The elements of a parameter that this rank has; the last ranks have less, or nothing."""
        size = held.parameter.ds_tensor.ds_numel  # type: ignore[attr-defined]
        return min(self._rank * size, held.spec.local_size), min((self._rank + 1) * size, held.spec.local_size)

    def _piece(self, held: Held) -> Piece | None:
        covered = self._covered(held)
        if not held.parameter.requires_grad or covered[0] == covered[1]:
            return None
        group, place, _ = self._zero.grad_position[self._zero.get_param_id(held.parameter)]
        return Piece(held, covered, group, place)

    def step(self, observe: Observer | None = None, *, drop: bool = False) -> tuple[float, bool]:
        """DeepSpeed asks for the norm, skips when it is not finite, and clips."""
        self._observe, self._drop = observe, drop
        take_step(self._engine)
        self._observe = None
        # A parameter that the next step does not use would have this step's gradient.
        self._zero.grad_partitions_flat_buffer.zero_()
        return float(self._norm) / float(self._zero.loss_scale), not self._zero.overflow

    def _scaled_norm(self) -> Tensor:
        """That of the averaged gradients, times the factor of the loss."""
        parts = list[Tensor]()
        for index, partition in enumerate(self._partitions):
            offloaded = self._zero.offload_optimizer
            gradients: list[Tensor] = [partition.grad] if offloaded else self._zero.averaged_gradients[index]  # type: ignore[list-item]
            parts += within([gradient.flatten() for gradient in gradients], self._owned[index])
        self._norm = global_norm(parts, self._engine.device)
        return torch.full_like(self._norm, torch.inf) if self._drop else self._norm

    def _owned_runs(self) -> list[list[Range]]:
        """What this rank answers for of its partition of each group."""
        runs: list[list[Range]] = [[] for _ in self._partitions]
        for piece in self._pieces:
            shift = piece.place - piece.covered[0]
            runs[piece.group] += [(start + shift, stop + shift) for start, stop in piece.held.owned(piece.covered)]
        return [joined(of_group) for of_group in runs]

    def _show_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Called before each group is stepped, when its gradients are whole, unscaled and clipped."""
        if self._observe is None:
            return
        norm = float(self._norm) / float(self._zero.loss_scale)
        clipped = max((norm + 1e-6) / self._clipping, 1.0) if self._clipping > 0 else 1.0
        stepped = {id(flat) for group in optimizer.param_groups for flat in group["params"]}
        self._observe(
            part
            for piece in self._pieces
            if id(partition := self._partitions[piece.group]) in stepped and partition.grad is not None
            for part in piece.held.answered_for(
                Fragment(piece.held.spec, "gradient", piece.covered, piece.within(partition.grad) * clipped)
            )
        )

    def fragments(self) -> Iterator[Fragment]:
        """This rank's pieces, with their state."""
        of_use = [weight_of_use(self._optimizer, partition) for partition in self._partitions]
        for piece in self._pieces:
            weight, used = self._weight(piece), of_use[piece.group]
            for kept in saved(weight, None if used is None else piece.within(used)):
                yield from piece.held.answered_for(kept)
            for state in self._state_of(piece):
                yield from piece.held.answered_for(state)
        yield from self._whole_state()
        for held, frozen in self._frozen():
            yield from held.answered_for(frozen)

    def weight_targets(self) -> Iterator[Fragment]:
        """The pieces; `refresh` makes what computes."""
        yield from (self._weight(piece) for piece in self._pieces)
        yield from (frozen for _, frozen in self._frozen())

    def targets(self) -> Iterator[Fragment]:
        """The pieces with their state."""
        self._make_state()
        yield from (frozen for _, frozen in self._frozen())
        for piece in self._pieces:
            yield from loaded(self._weight(piece), self._optimizer)
            yield from self._state_of(piece)
        yield from self._whole_state()

    def rank_fragments(self) -> Iterable[Fragment]:
        """Nothing."""
        return ()

    def refresh(self) -> None:
        """The pieces in the number format that computes; what is kept gathered is gathered anew."""
        zero = self._zero
        zero._partition_all_parameters()
        for group in range(len(self._partitions)):
            zero._reassign_or_swap_out_partitioned_parameters(group)
        if zero.persistent_parameters:
            zero.persistent_parameters[0].all_gather(zero.persistent_parameters)

    def optimized(self) -> Iterable[Tensor]:
        """The flat partitions."""
        return self._partitions

    def gathered(self, *parameters: nn.Parameter) -> AbstractContextManager[None]:
        """While it lasts, these are whole, to be read."""
        from deepspeed.runtime.zero import GatheredParameters

        gathered: AbstractContextManager[None] = GatheredParameters(list(parameters))
        return gathered

    def _weight(self, piece: Piece) -> Fragment:
        return piece.fragment("weight", self._partitions[piece.group])

    def _frozen(self) -> Iterator[tuple[Held, Fragment]]:
        """Parameters that are not trained, and this rank's pieces of them."""
        for held in self.held:
            start, stop = self._covered(held)
            if not held.parameter.requires_grad and start < stop:
                own: Tensor = held.parameter.ds_tensor  # type: ignore[attr-defined]
                yield held, Fragment(held.spec, "weight", (start, stop), own.detach().narrow(0, 0, stop - start))

    def _parts(self) -> list[list[Part]]:
        """What each partition consists of on this rank."""
        parts: list[list[Part]] = [[] for _ in self._partitions]
        for piece in self._pieces:
            shape = piece.held.spec.local_shape
            parts[piece.group].append(Part(piece.held.name, shape, piece.covered[0], piece.size, piece.place))
        return parts

    def _state_of(self, piece: Piece) -> Iterator[Fragment]:
        partition = self._partitions[piece.group]
        for role, value in self._optimizer.state.get(partition, {}).items():
            like = isinstance(value, Tensor) and value.shape == partition.shape
            yield state_fragment(piece.held.spec, role, piece.within(value) if like else value, piece.covered)

    def _whole_state(self) -> Iterator[Fragment]:
        return self._optimizer.fragments() if isinstance(self._optimizer, WholeParameters) else iter(())

    def _make_state(self) -> None:
        """DeepSpeed gives the optimizer its partitions one after the other, and takes each away after its step."""
        gradients = [partition.grad for partition in self._partitions]
        for index, partition in enumerate(self._partitions):
            partition.grad = torch.zeros_like(partition)
            self._optimizer.param_groups[self._zero.sub_group_to_group_id[index]]["params"] = [partition]
            step_without_effect(self._optimizer)
            self._optimizer.param_groups[self._zero.sub_group_to_group_id[index]]["params"] = []
        for partition, gradient in zip(self._partitions, gradients, strict=True):
            partition.grad = gradient  # with offloading it is DeepSpeed's buffer
