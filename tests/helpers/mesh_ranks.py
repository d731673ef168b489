"""What ranks of a mesh tell of it."""

from __future__ import annotations

import torch
import torch.distributed as dist

from neox_core.config import Topology
from neox_core.parallel import Mesh


def sums_over_experts(size: int) -> tuple[float, float]:
    """The ranks' numbers, added over those that share experts, and over those that have the same."""
    mesh = Mesh.of(Topology(data=dist.get_world_size()))
    shared, copies = (axis.sum(torch.tensor(float(mesh.rank))) for axis in mesh.experts(size))
    return float(shared), float(copies)
