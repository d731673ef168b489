"""The axes along which a run is cut, with the process groups in which ranks communicate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from neox_core.config.topology import AXES, AxisName, Topology
from neox_core.parallel.axis import Axis
from neox_core.parallel.kept import as_patient, group_among, kept

_REPLICAS: tuple[AxisName, ...] = ("data", "context")
_STAGE: tuple[AxisName, ...] = ("data", "context", "tensor")


@dataclass(frozen=True, slots=True)
class Mesh:
    """Where this rank is, and its neighbours along each axis.

    Args:
        topology: the sizes.
        rank: this rank.
        pipe: the stages of its pipeline.
        data: the ranks that see other samples.
        context: those that see other tokens of the same samples.
        tensor: those that have other parts of the same matrices.
        replicas: those that have the same weights, along data and context, over which gradients are averaged.
        stage: those that have the same layers, or parts of them: along data, context and tensor.
    """

    topology: Topology
    rank: int
    pipe: Axis
    data: Axis
    context: Axis
    tensor: Axis
    replicas: Axis
    stage: Axis

    @classmethod
    def solo(cls) -> Mesh:
        """One rank by itself."""
        return cls.without_groups(Topology(), 0)

    @classmethod
    def without_groups(cls, topology: Topology, rank: int) -> Mesh:
        """That of a rank of a topology, which communicates with nobody: for sizes."""
        axes = {axis: _axis(topology, rank, (axis,), None) for axis in AXES}
        replicas, stage = (_axis(topology, rank, joined, None) for joined in (_REPLICAS, _STAGE))
        return cls(topology, rank, **axes, replicas=replicas, stage=stage)

    @classmethod
    def of(cls, topology: Topology, device: str = "cpu") -> Mesh:
        """That of this process; the default process group must exist, and every rank has to call it.

        Raises:
            ValueError: the topology has another number of ranks than the process group.
        """
        if topology.size != dist.get_world_size():
            raise ValueError(f"{topology} is not the {dist.get_world_size()} ranks that there are")
        if topology.size == 1:
            return cls.without_groups(topology, dist.get_rank())
        return kept((topology, device), lambda: cls._made(topology, device))

    def experts(self, size: int) -> tuple[Axis, Axis]:
        """The ranks over which a layer's experts are dealt, and those that have the same experts; see `Topology.experts`.

        Every rank has to call it.
        """
        shared, copies = self.topology.experts(size)
        return self.among(shared), self.among(copies)

    def among(self, groups: Iterable[tuple[int, ...]]) -> Axis:
        """The ranks of that of some groups which this one is in; itself alone where it is in none.

        Every rank has to call it, with the same groups.
        """
        asked = [*groups]
        ranks = next((ranks for ranks in asked if self.rank in ranks), (self.rank,))
        communicates = self.stage.group is not None or self.pipe.group is not None
        group = group_among(asked) if communicates and any(len(ranks) > 1 for ranks in asked) else None
        return Axis(ranks.index(self.rank), len(ranks), group if len(ranks) > 1 else None, ranks)

    @classmethod
    def _made(cls, topology: Topology, device: str) -> Mesh:
        rank, cut = dist.get_rank(), _cut(topology, AXES)
        sizes = [size for size in topology.shape if size > 1]
        mesh = init_device_mesh(device, tuple(sizes), mesh_dim_names=cut)
        axes = {axis: _axis(topology, rank, (axis,), mesh) for axis in AXES}
        replicas, stage = (_axis(topology, rank, joined, mesh) for joined in (_REPLICAS, _STAGE))
        return cls(topology, rank, **axes, replicas=replicas, stage=stage)


def _cut(topology: Topology, axes: Sequence[AxisName]) -> tuple[AxisName, ...]:
    """Those axes along which there are several ranks."""
    sizes = dict(zip(AXES, topology.shape, strict=True))
    return tuple(axis for axis in axes if sizes[axis] > 1)


def _axis(topology: Topology, rank: int, axes: Sequence[AxisName], mesh: DeviceMesh | None) -> Axis:
    ranks, cut = topology.group(rank, *axes), _cut(topology, axes)
    if mesh is None or not cut:
        return Axis(ranks.index(rank), len(ranks), None, ranks)
    along = mesh[cut] if len(cut) == 1 else mesh[cut]._flatten("_".join(cut))
    return Axis(ranks.index(rank), len(ranks), as_patient(along.get_group()), ranks)
