"""A copy of what is to be saved, in host memory that is used again for the next one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from neox_core.checkpoint.pieces import Piece
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
        on_host: list[tuple[Tensor, Tensor]] = []
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
                on_host.append((room, tensor))
        _copy(on_host)
        for device in devices:
            torch.cuda.synchronize(device)
        self._rooms = rooms
        return copies

    @property
    def size(self) -> int:
        """Bytes of memory that are held."""
        return sum(room.numel() * room.itemsize for room in self._rooms.values())


def _copy(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Copy second tensors into first ones, on as many cores as are of use; torch itself may use several for each."""
    copiers = min(_MOST_COPIERS, len(os.sched_getaffinity(0))) // torch.get_num_threads()
    if copiers <= 1:
        for room, tensor in pairs:
            room.copy_(tensor)
        return
    with ThreadPoolExecutor(copiers) as pool:
        for _ in pool.map(lambda pair: pair[0].copy_(pair[1]), sorted(pairs, key=lambda pair: -pair[0].numel())):
            pass  # what failed is raised here


def _room(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
