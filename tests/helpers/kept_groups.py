"""What ranks are asked to do by the tests of groups of some ranks."""

from __future__ import annotations

from datetime import timedelta

import torch
import torch.distributed as dist

from neox_core.config import Topology
from neox_core.parallel import Mesh
from neox_core.parallel.kept import forget, group_among


def limits(default: timedelta) -> list[timedelta]:
    """Of the groups that are made where the default one waits so long."""
    everyone = dist.group.WORLD
    before = _limit(everyone)
    dist.distributed_c10d._set_pg_timeout(default, everyone)
    forget()
    try:
        mesh = Mesh.of(Topology(pipe=2, tensor=2))
        pairs = (
            mesh.pipe.group,
            mesh.tensor.group,
            group_among([(0, 1), (2, 3)]),
            group_among([(0,), (1,), (2,), (3,)]),
        )
        return [_limit(group) for group in pairs]
    finally:
        dist.distributed_c10d._set_pg_timeout(before, everyone)
        forget()


def sum_over_pairs() -> float:
    """Of the ranks' numbers, where the first rank has made more groups than the others."""
    if dist.get_rank() == 0:
        dist.new_group([0], use_local_synchronization=True)
    number = torch.tensor(float(dist.get_rank()))
    dist.all_reduce(number, group=group_among([(0, 2), (1, 3)]))
    return float(number)


def _limit(group: dist.ProcessGroup) -> timedelta:
    return group._get_backend(group._device_types[0]).options._timeout
