"""Gradients of parameters that several stages of a pipeline hold: tied embeddings, tables of biases."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import torch
from torch import nn

from neox_core.parallel import Axis, Mesh, copies_of
from neox_core.parallel.kept import group_of


class SharedGradients:
    """Makes each copy's gradient the sum of those of all stages that hold one, so that the copies stay the same.

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
        self._among = cache(self._made)

    @torch.no_grad()
    def sum(self, place: str = "grad", dtype: torch.dtype | None = None, *, local: bool = False) -> None:
        """Put the sums in the place of the parts; every rank of the stages has to call it.

        Args:
            place: the attribute that a parameter's gradient is kept as; None, or nothing, where the stage has computed none.
            dtype: of gradients; None: that of the parameter.
            local: whether gradients are to stay different from replica to replica.
        """
        replicas = self._mesh.replicas.size
        # Of two numbers the order does not matter. More replicas are averaged here, over all stages at once: adding in another order
        # on each stage would let the copies drift apart. Averaging again what is equal changes nothing.
        averages = replicas > 2 and not local
        for parameter, stages in self._copies:
            found = getattr(parameter, place, None)
            own = torch.zeros_like(parameter, dtype=dtype) if found is None else found
            summed = self._among(stages, averages).sum(own, wide=True)
            setattr(parameter, place, summed / replicas if averages else summed)

    def _made(self, stages: tuple[int, ...], replicas: bool) -> Axis:
        """The ranks of these stages that have the same part of a parameter as this one: of its pipeline, or of all."""
        mesh, topology = self._mesh, self._mesh.topology
        alike = topology.group(mesh.rank, "pipe", "data", "context") if replicas else mesh.pipe.ranks
        ranks = tuple(rank for rank in alike if topology.place(rank).pipe in stages)
        if ranks == mesh.pipe.ranks:
            return mesh.pipe
        return Axis(ranks.index(mesh.rank), len(ranks), group_of(ranks), ranks)
