"""The axes along which a run is cut, with the process groups in which ranks communicate."""

from __future__ import annotations

from dataclasses import dataclass

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from neox_core.config.topology import AXES, AxisName, Topology
from neox_core.parallel.axis import Axis

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
        rank = dist.get_rank()
        if topology.size == 1:
            return cls.without_groups(topology, rank)
        mesh = init_device_mesh(device, topology.shape, mesh_dim_names=AXES)
        axes = {axis: _axis(topology, rank, (axis,), mesh[axis]) for axis in AXES}
        replicas = _axis(topology, rank, _REPLICAS, mesh[_REPLICAS]._flatten("replicas"))
        stage = _axis(topology, rank, _STAGE, mesh[_STAGE]._flatten("stage")) if topology.tensor > 1 else replicas
        return cls(topology, rank, **axes, replicas=replicas, stage=stage)


def _axis(topology: Topology, rank: int, axes: tuple[AxisName, ...], mesh: DeviceMesh | None) -> Axis:
    ranks = topology.group(rank, *axes)
    group = mesh.get_group() if mesh is not None and len(ranks) > 1 else None
    return Axis(ranks.index(rank), len(ranks), group, ranks)
