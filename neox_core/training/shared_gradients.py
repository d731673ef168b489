"""Gradients of parameters that several stages of a pipeline hold: tied embeddings, tables of biases."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn

from neox_core.config.topology import AxisName
from neox_core.parallel import Axis, Mesh, copies_of


class SharedGradients:
    """Makes each copy's gradient the sum of those of all stages that hold one, so that the copies stay the same.

    Every rank of the run has to make one.

    Args:
        mesh: this rank's.
        parameters: of this stage.
    """

    def __init__(self, mesh: Mesh, parameters: Iterable[nn.Parameter]) -> None:
        self._mesh = mesh
        self._copies = [
            (parameter, copies.stages)
            for parameter in parameters
            if (copies := copies_of(parameter)) is not None and parameter.requires_grad
        ]
        # Two replicas' gradients may be averaged elsewhere: of two numbers the order does not matter. More are averaged here, over all
        # stages at once: adding in another order on each stage would let the copies drift apart. Averaging again what is equal
        # rounds all copies alike.
        self._averages = mesh.replicas.size > 2
        stages = {stages for _, stages in self._copies}
        self._pipelines = self._among(stages, "pipe")
        self._replicas = self._among(stages, "pipe", "data", "context") if self._averages else {}

    @torch.no_grad()
    def sum(self, place: str = "grad", dtype: torch.dtype | None = None, *, local: bool = False) -> None:
        """Put the sums in the place of the parts; every rank of the stages has to call it.

        Args:
            place: the attribute that a parameter's gradient is kept as; None, or nothing, where the stage has computed none.
            dtype: of gradients; None: that of the parameter.
            local: whether gradients are to stay different from replica to replica.
        """
        averages = self._averages and not local
        axes = self._replicas if averages else self._pipelines
        for parameter, stages in self._copies:
            found = getattr(parameter, place, None)
            own = torch.zeros_like(parameter, dtype=dtype) if found is None else found
            # Divided before it is narrow again: of many replicas a sum may be beyond what float16 holds.
            summed = axes[stages].sum(own.to(torch.promote_types(own.dtype, torch.float32)))
            averaged = summed / self._mesh.replicas.size if averages else summed
            setattr(parameter, place, averaged.to(own.dtype))

    def _among(self, stages: set[tuple[int, ...]], *axes: AxisName) -> dict[tuple[int, ...], Axis]:
        """For stages that hold copies, those of their ranks along some axes that have the same part of a parameter as this one."""
        mesh, topology = self._mesh, self._mesh.topology
        told: list[set[tuple[int, ...]]] = [set()] * mesh.pipe.size
        dist.all_gather_object(told, stages, mesh.pipe.group)
        found = {}
        for holders in sorted(set.union(*told)):
            if axes == ("pipe",) and len(holders) == mesh.pipe.size:
                found[holders] = mesh.pipe
                continue
            held = {rank for rank in range(topology.size) if topology.place(rank).pipe in holders}
            found[holders] = mesh.among(
                tuple(rank for rank in ranks if rank in held) for ranks in topology.groups(*axes)
            )
        return found
