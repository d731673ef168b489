"""What ranks are asked to do by the tests of how long groups wait."""

from __future__ import annotations

from datetime import timedelta

import torch.distributed as dist

from neox_core.config import Topology
from neox_core.parallel import Mesh
from neox_core.parallel.kept import forget, group_of


def limits(default: timedelta) -> list[timedelta]:
    """Of the groups that are made where the default one waits so long."""
    everyone = dist.group.WORLD
    before = _limit(everyone)
    dist.distributed_c10d._set_pg_timeout(default, everyone)
    forget()
    try:
        rank = dist.get_rank()
        mesh = Mesh.of(Topology(pipe=2, tensor=2))
        pairs = (mesh.pipe.group, mesh.tensor.group, group_of((rank // 2 * 2, rank // 2 * 2 + 1)), group_of((rank,)))
        return [_limit(group) for group in pairs]
    finally:
        dist.distributed_c10d._set_pg_timeout(before, everyone)
        forget()


def _limit(group: dist.ProcessGroup) -> timedelta:
    return group._get_backend(group._device_types[0]).options._timeout
