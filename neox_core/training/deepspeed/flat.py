"""What the stages of ZeRO have in common: float32 weights and optimizer state are flat partitions, one a rank and group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neox_core.parallel import Fragment, Mesh, Range
from neox_core.training.clip_norm import times_of
from neox_core.training.deepspeed.core import Observer, Parameters, held_on, take_step
from neox_core.training.fragments import Held, answered_for, state_fragment
from neox_core.training.gradient_norm import global_norm, joined, norm_as_counted, within
from neox_core.training.loss_scale import LossScale
from neox_core.training.weights_of_use import loaded, saved, weight_of_use
from neox_core.training.whole_parameters import WholeParameters
from neox_core.training.whole_parts import Part


class Piece(NamedTuple):
    """This rank's piece of a parameter that is trained.

    Args:
        held: the parameter.
        covered: its elements.
        group: of which partition they are.
        place: where they begin in it.
    """

    held: Held
    covered: Range
    group: int
    place: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.covered[1] - self.covered[0]

    def within(self, partition: Tensor) -> Tensor:
        """Its elements of a tensor that is like the partition."""
        return partition.detach().narrow(0, self.place, self.size)

    def fragment(self, role: str, partition: Tensor) -> Fragment:
        """Those as a fragment."""
        return Fragment(self.held.spec, role, self.covered, self.within(partition))

    def owned(self) -> list[Range]:
        """Runs of the partition's elements that this rank answers for."""
        shift = self.place - self.covered[0]
        return [(start + shift, stop + shift) for start, stop in self.held.owned(self.covered)]


class FlatCore(ABC):
    """A core over flat partitions. DeepSpeed clips, and skips what is not finite, by the norm that it is given here.

    The partitions are cut over the ranks that have the same weights.
    """

    def __init__(
        self, engine: Any, parameters: Parameters, clipping: float, mesh: Mesh, *, as_counted: bool = False
    ) -> None:
        self._engine, self._clipping, self._replicas = engine, clipping, mesh.replicas
        self.held = held_on(mesh, parameters)
        self._zero = engine.optimizer
        self._optimizer = self._zero.optimizer
        self._pieces = list(self._find_pieces())
        self._as_counted = as_counted
        self._owned = [
            {times: joined(self._runs(group, times)) for times in range(3)} for group in range(len(self._partitions))
        ]
        self._observe: Observer | None = None
        self._norm, self._drop = torch.zeros(()), False
        if isinstance(self._optimizer, WholeParameters):
            self._optimizer.bind(
                self._partitions, self._parts(), mesh.stage, columns=mesh.tensor.size, groups=self._groups()
            )
        self._optimizer.register_step_pre_hook(self._show_gradients)
        self.loss_scale = LossScale(self._zero.loss_scaler) if engine.fp16_enabled() else None
        self._zero._update_scale = lambda has_overflow: None  # `loss_scale` says why
        self._zero.check_overflow = lambda *_, **__: None  # the norm tells

    @property
    @abstractmethod
    def _partitions(self) -> list[Tensor]:
        """The float32 partitions of this rank."""

    @abstractmethod
    def _find_pieces(self) -> Iterator[Piece]:
        """What they consist of."""

    @abstractmethod
    def _gradients(self, group: int) -> list[Tensor]:
        """The averaged gradients of a partition, times the factor of the loss, as tensors that follow each other."""

    @abstractmethod
    def _frozen(self) -> Iterator[tuple[Held, Fragment]]:
        """Weights that are not trained, of which this rank has to save a share, and its share of them."""

    @abstractmethod
    def _make_state(self) -> None:
        """Let the optimizer have all its state."""

    @abstractmethod
    def weight_targets(self) -> Iterator[Fragment]:
        """Every place on this rank that weights are loaded into, before `refresh`."""

    def _runs(self, group: int, times: int) -> list[Range]:
        """Runs of a partition's elements that this rank answers for, of parameters that count so often in the norm."""
        pieces = (piece for piece in self._pieces if piece.group == group)
        return [run for piece in pieces if times_of(piece.held.parameter) == times for run in piece.owned()]

    def _groups(self) -> list[int]:
        """Of which of the optimizer's groups each partition is."""
        return list(range(len(self._partitions)))

    def step(self, observe: Observer | None = None, *, drop: bool = False) -> tuple[float, bool]:
        """DeepSpeed asks for the norm, skips when it is not finite, and clips."""
        self._observe, self._drop = observe, drop
        take_step(self._engine)
        self._observe = None
        # DeepSpeed keeps those in the host's memory: a parameter that the next step does not use would have this step's gradient.
        for partition in self._partitions:
            if partition.grad is not None:
                partition.grad.zero_()
        return self._unscaled_norm(), not self._zero.overflow

    def _scaled_norm(self) -> Tensor:
        """That of the averaged gradients, times the factor of the loss."""
        counted = list[tuple[Tensor, int]]()
        for group, by_times in enumerate(self._owned):
            gradients = self._gradients(group)
            counted += ((part, times) for times, runs in by_times.items() for part in within(gradients, runs))
        if self._as_counted:
            self._norm = norm_as_counted(counted, self._engine.device)
        else:
            self._norm = global_norm([part for part, _ in counted], self._engine.device)
        return torch.full_like(self._norm, torch.inf) if self._drop else self._norm

    def _unscaled_norm(self) -> float:
        return float(self._norm) / float(self._zero.loss_scale)

    def _show_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Called before each group is stepped, when its gradients are whole, unscaled and clipped."""
        if self._observe is None:
            return
        clipped = max((self._unscaled_norm() + 1e-6) / self._clipping, 1.0) if self._clipping > 0 else 1.0
        stepped = {id(partition) for group in optimizer.param_groups for partition in group["params"]}
        self._observe(
            part
            for piece in self._pieces
            if id(partition := self._partitions[piece.group]) in stepped and partition.grad is not None
            for part in piece.held.answered_for(piece.fragment("gradient", partition.grad * clipped))
        )

    def fragments(self) -> Iterator[Fragment]:
        """This rank's pieces with their state, and its share of frozen weights."""
        of_use = [weight_of_use(self._optimizer, partition) for partition in self._partitions]
        for piece in self._pieces:
            used = of_use[piece.group]
            for kept in saved(self._weight(piece), None if used is None else piece.within(used)):
                yield from piece.held.answered_for(kept)
            for state in self._state_of(piece):
                yield from piece.held.answered_for(state)
        yield from answered_for(self.held, self._whole_state())
        for held, frozen in self._frozen():
            yield from held.answered_for(frozen)

    def targets(self) -> Iterator[Fragment]:
        """Wherever weights are kept, and the optimizer's state."""
        self._make_state()
        yield from self.weight_targets()
        for piece in self._pieces:
            yield from loaded(self._weight(piece), self._optimizer)
            yield from self._state_of(piece)
        yield from self._whole_state()

    def rank_fragments(self) -> Iterable[Fragment]:
        """Nothing."""
        return ()

    def optimized(self) -> Iterable[Tensor]:
        """The partitions."""
        return self._partitions

    def _weight(self, piece: Piece) -> Fragment:
        return piece.fragment("weight", self._partitions[piece.group])

    def _parts(self) -> list[list[Part]]:
        """What each partition consists of on this rank."""
        parts: list[list[Part]] = [[] for _ in self._partitions]
        for piece in self._pieces:
            parts[piece.group].append(Part(piece.held.spec, piece.covered[0], piece.size, piece.place))
        return parts

    def _state_of(self, piece: Piece) -> Iterator[Fragment]:
        partition = self._partitions[piece.group]
        for role, value in self._optimizer.state.get(partition, {}).items():
            like = isinstance(value, Tensor) and value.shape == partition.shape
            yield state_fragment(piece.held.spec, role, piece.within(value) if like else value, piece.covered)

    def _whole_state(self) -> Iterator[Fragment]:
        return self._optimizer.fragments() if isinstance(self._optimizer, WholeParameters) else iter(())
