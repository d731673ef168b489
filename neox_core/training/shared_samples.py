"""Samples that one rank is sent, and of which it gives a copy to the other ranks of the same pipeline, context and matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from neox_core.config.topology import Topology
from neox_core.errors import UserError
from neox_core.model import Batch
from neox_core.parallel.kept import group_among


class SharedSamples:
    """The ranks that have the same samples; the first of them asks for micro-batches.

    Where a micro-batch is taken these ranks wait for each other: all of them have to take it at the same point of a step.

    Args:
        topology: of the run.
        rank: this rank.
    """

    def __init__(self, topology: Topology, rank: int) -> None:
        self._groups = [*topology.groups("pipe", "context", "tensor")]
        (self._ranks,) = (ranks for ranks in self._groups if rank in ranks)
        self.asks = rank == self._ranks[0]
        """Whether this rank is the one that asks."""

    def next(self, make: Callable[[], Batch]) -> Batch:
        """The next micro-batch, which the first rank makes.

        Raises:
            UserError: it could not be made there; on all of these ranks, with the same sentence.
        """
        if len(self._ranks) == 1:
            return make()
        found: Batch | None = None
        failure: UserError | None = None
        if self.asks:
            try:
                found = make()
            except UserError as error:
                failure = error
        told: list[Any] = [found, None if failure is None else str(failure)]
        dist.broadcast_object_list(told, self._ranks[0], group=group_among(self._groups), device=torch.device("cpu"))
        if told[1] is not None:
            raise failure or UserError(told[1])
        batch: Batch = told[0]
        return batch
