"""ZeRO 1 and 2: optimizer state, and in stage 2 gradients too, are cut into flat partitions of groups of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.parallel import Fragment, Mesh
from neox_core.training.deepspeed.core import Parameters
from neox_core.training.deepspeed.flat import FlatCore, Piece
from neox_core.training.fragments import Held, share, step_without_effect


class PartitionedCore(FlatCore):
    """A group of parameters is one flat tensor, of which each rank has a partition.

    Frozen parameters are in none: every rank has the weights that compute, and nothing else.
    """

    def __init__(
        self, engine: Any, parameters: Parameters, clipping: float, mesh: Mesh, *, as_counted: bool = False
    ) -> None:
        super().__init__(engine, parameters, clipping, mesh, as_counted=as_counted)
        self._zero.scaled_global_norm = self._scaled_norm

    @property
    def _partitions(self) -> list[Tensor]:
        partitions: list[Tensor] = self._zero.single_partition_of_fp32_groups
        return partitions

    def _find_pieces(self) -> Iterator[Piece]:
        held = {id(one.parameter): one for one in self.held}
        for group, partition in enumerate(self._partitions):
            first = self._replicas.rank * partition.numel()
            members = zip(
                self._zero.round_robin_bit16_groups[group], self._zero.round_robin_bit16_offsets[group], strict=True
            )
            for parameter, place in members:
                start, stop = max(place, first), min(place + parameter.numel(), first + partition.numel())
                if start < stop and id(parameter) in held:
                    yield Piece(held[id(parameter)], (start - place, stop - place), group, start - first)

    def _gradients(self, group: int) -> list[Tensor]:
        offloaded = self._partitions[group].grad
        gradients: list[Tensor] = self._zero.averaged_gradients.get(group) or []
        return [offloaded] if self._zero.cpu_offload and offloaded is not None else gradients

    def _frozen(self) -> Iterator[tuple[Held, Fragment]]:
        frozen = [held for held in self.held if not held.parameter.requires_grad]
        return ((held, held.fragment()) for held in share(frozen, self._replicas))

    def weight_targets(self) -> Iterator[Fragment]:
        """The float32 pieces, of which `refresh` makes the weights that compute; of frozen weights there are no pieces."""
        yield from (held.fragment() for held in self.held if not held.parameter.requires_grad)
        yield from (self._weight(piece) for piece in self._pieces)

    def refresh(self) -> None:
        """The pieces of all ranks, in the number format that computes."""
        self._zero.update_lp_params()

    def gathered(self, *parameters: nn.Parameter) -> AbstractContextManager[None]:
        """They are whole anyway."""
        return nullcontext()

    def _make_state(self) -> None:
        gradients = [partition.grad for partition in self._partitions]
        for partition in self._partitions:
            partition.grad = torch.zeros_like(partition)
        step_without_effect(self._optimizer)
        for partition, gradient in zip(self._partitions, gradients, strict=True):
            partition.grad = gradient  # with offloading it is DeepSpeed's buffer
