"""What DeepSpeed asks about the ranks of a run that is cut: a "model parallel unit", in its words."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch.distributed as dist

from neox_core.parallel import Axis, Mesh
from neox_core.parallel.kept import group_among


class ModelParallelUnit:
    """A mesh as DeepSpeed 0.19 asks about it. It reduces and cuts over the ranks that have the same weights.

    Its data-parallel ranks are those that see other samples, by which it counts batches; what it communicates over are its
    "sequence data parallel" ones. Of the names that it could ask for, these are all that it does without a pipeline.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def get_data_parallel_world_size(self) -> int:
        """Ranks that see other samples."""
        return self._mesh.data.size

    def get_data_parallel_rank(self) -> int:
        """This rank's place among them."""
        return self._mesh.data.rank

    def get_data_parallel_group(self) -> Any:
        """The ranks that have the same weights: over them ZeRO 3 cuts what was made before its optimizer."""
        return self._replicas

    def get_sequence_data_parallel_world_size(self) -> int:
        """Ranks that have the same weights."""
        return self._mesh.replicas.size

    def get_sequence_data_parallel_rank(self) -> int:
        """This rank's place among them."""
        return self._mesh.replicas.rank

    def get_sequence_data_parallel_group(self) -> Any:
        """Where gradients are averaged, and over which ZeRO cuts."""
        return self._replicas

    def get_model_parallel_world_size(self) -> int:
        """Ranks that have other parts of the same matrices."""
        return self._mesh.tensor.size

    def get_model_parallel_rank(self) -> int:
        """This rank's place among them."""
        return self._mesh.tensor.rank

    def get_model_parallel_group(self) -> Any:
        """Those ranks; None where there is one."""
        return self._mesh.tensor.group

    @cached_property
    def _replicas(self) -> Any:
        return _group(self._mesh.replicas)


def _group(axis: Axis) -> Any:
    """The group of an axis, where DeepSpeed needs one also for a rank that is alone."""
    if axis.group is not None:
        return axis.group
    return group_among((rank,) for rank in range(dist.get_world_size()))
