"""Process groups are kept as long as the process can use them: each has threads, and asking again for the same ranks makes none."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")

_made: dict[Hashable, object] = {}
_for: list[dist.ProcessGroup | None] = [None]


def kept(key: Hashable, make: Callable[[], T]) -> T:
    """What was made for a key since the default process group was, else what is made now; on every rank that takes part."""
    if _for[0] is not dist.group.WORLD:
        _made.clear()
        _for[0] = dist.group.WORLD
    if key not in _made:
        _made[key] = make()
    found: T = _made[key]  # type: ignore[assignment]
    return found


def group_of(ranks: tuple[int, ...]) -> dist.ProcessGroup | None:
    """The group of these ranks, of which this is one; only they have to call it."""
    if len(ranks) == dist.get_world_size():
        return dist.group.WORLD
    return kept(ranks, lambda: _new_group(ranks))


def _new_group(ranks: tuple[int, ...]) -> dist.ProcessGroup:
    made: dist.ProcessGroup = dist.new_group([*ranks], use_local_synchronization=True)
    return as_patient(made)


def as_patient(group: dist.ProcessGroup) -> dist.ProcessGroup:
    """A group whose ranks wait for each other as long as those of the default one, instead of as long as torch has it by default."""
    everyone = dist.group.WORLD
    if everyone is not None:
        limit = everyone._get_backend(everyone._device_types[0]).options._timeout
        dist.distributed_c10d._set_pg_timeout(limit, group)
    return group


def forget() -> None:
    """Hold on to no group; called before they are destroyed."""
    _made.clear()
    _for[0] = None
