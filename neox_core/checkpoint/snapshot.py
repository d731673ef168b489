"""A copy of what is to be saved, in host memory that is used again for the next one."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from neox_core.checkpoint.pieces import Piece
from neox_core.errors import UserError
from neox_core.parallel.shards import Fragment

# One core copies slower than memory allows; from four on, most machines' memory is the limit.
_MOST_COPIERS = 4


class Snapshots:
    """Takes copies, one at a time: the next one overwrites the last.

    What a device has is copied to memory that is pinned, which is faster, and which is asked for once.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, Tensor] = {}

    def reserve(self, fragments: Iterable[Fragment]) -> None:
        """Have the memory for copies of such fragments before it is needed: to be given it takes longer than to copy.

        Args:
            fragments: their tensors are not copied.
        """
        for fragment in fragments:
            self._rooms[Piece.of(fragment).key] = _room(fragment.tensor).zero_()

    def take(self, fragments: Iterable[Fragment]) -> list[Fragment]:
        """The same fragments with copies of their tensors, which are as they were when this returns."""
        rooms: dict[str, Tensor] = {}
        copies = []
        devices: set[torch.device] = set()
        with _Copiers() as copiers:
            for fragment in fragments:
                tensor, key = fragment.tensor.detach(), Piece.of(fragment).key
                room = self._rooms.get(key)
                if room is None or room.shape != tensor.shape or room.dtype != tensor.dtype:
                    room = _room(tensor)
                rooms[key] = room
                copies.append(replace(fragment, tensor=room))
                if tensor.is_cuda:
                    room.copy_(tensor, non_blocking=True)
                    devices.add(tensor.device)
                else:
                    copiers.copy(room, tensor)
        for device in devices:
            torch.cuda.synchronize(device)
        self._rooms = rooms
        return copies

    @property
    def size(self) -> int:
        """Bytes of memory that are held."""
        return sum(room.numel() * room.itemsize for room in self._rooms.values())


class _Copiers:
    """Copies tensors on as many cores as are of use, torch itself using several for each or not; all is copied when the block ends."""

    def __init__(self) -> None:
        self._count = max(min(_MOST_COPIERS, len(os.sched_getaffinity(0))) // torch.get_num_threads(), 1)
        self._under_way: deque[Future[Tensor]] = deque()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._count)
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()  # waits
        for future in self._under_way:
            future.result()

    def copy(self, room: Tensor, tensor: Tensor) -> None:
        """Copy a tensor, now or soon; few wait at a time, since some were made to be saved and are gone once they are copied."""
        if len(self._under_way) > 2 * self._count:
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(room.copy_, tensor))


def _room(tensor: Tensor) -> Tensor:
    try:
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    except RuntimeError as error:
        pinned = "pinned " if tensor.is_cuda else ""
        raise UserError(
            f"checkpoint_async: {tensor.numel() * tensor.itemsize:,} bytes of {pinned}host memory cannot be had for the copy of a "
            f"tensor ({str(error).splitlines()[0]}); leave more to each rank (`neox plan` tells how much it saves), or set "
            "checkpoint_async: false"
        ) from error
