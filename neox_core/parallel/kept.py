"""Process groups are kept as long as the process can use them: each has threads, and asking again for the same ranks makes none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
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


def group_among(groups: Iterable[tuple[int, ...]]) -> dist.ProcessGroup | None:
    """That of some groups of ranks which this rank is in; None where it is in none.

    Every rank of the run has to call it, with the same groups, of which no two share a rank. torch can make a group of only those
    ranks that are in it, but then names it after how many groups each of them has already, and ranks with unlike numbers would wait
    for each other for ever.
    """
    asked = tuple(groups)
    return kept(asked, lambda: _own(asked))


def _own(groups: tuple[tuple[int, ...], ...]) -> dist.ProcessGroup | None:
    own = None
    for ranks in groups:
        made = dist.group.WORLD if len(ranks) == dist.get_world_size() else dist.new_group([*ranks])
        if dist.get_rank() in ranks:
            own = made
    return own if own is None or own is dist.group.WORLD else as_patient(own)


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
