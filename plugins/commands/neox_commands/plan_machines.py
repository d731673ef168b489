"""The ranks that a plan is for: their GPUs' memory, and which of them are on one host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from neox_core.config import Host, World
from neox_core.errors import UserError, nearest

if TYPE_CHECKING:
    from neox_core.config import Device, Topology

MIB = 2**20

MEMORY = {
    "t4-16": 15360 * MIB,
    "v100-16": 16384 * MIB,
    "l4-24": 23034 * MIB,
    "a10-24": 23028 * MIB,
    "rtx4090-24": 24564 * MIB,
    "v100-32": 32768 * MIB,
    "a100-40": 40960 * MIB,
    "l40s-48": 46068 * MIB,
    "a100-80": 81920 * MIB,
    "h100-80": 81559 * MIB,
    "h200-141": 143771 * MIB,
    "b200-180": 183359 * MIB,
}
"""Bytes of memory of GPUs, as `nvidia-smi` tells them, by name."""

RESERVE = 0.08
"""Share of the memory that is left to the driver, to communication and to what an allocator cannot use."""

UNITS = {"": 1, "B": 1, "MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}

HOST_SLOTS = 8
"""GPUs of a host, where nobody says how many."""


class Gpu(NamedTuple):
    """What a rank has."""

    name: str
    memory: int

    @property
    def usable(self) -> int:
        """Bytes without the reserve."""
        return int(self.memory * (1 - RESERVE))


def gpu(text: str) -> Gpu:
    """A GPU by its name, or by the size of its memory.

    Raises:
        UserError: it is neither.
    """
    if text.casefold() in MEMORY:
        return Gpu(text.casefold(), MEMORY[text.casefold()])
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    if match is None or match[2].upper() not in UNITS or float(match[1]) == 0:
        known, close = ", ".join(MEMORY), nearest(text, list(MEMORY))
        hint = "" if close is None else f"did you mean {close}? "
        raise UserError(f"--gpu {text}: {hint}there are {known}, or a size such as 80GiB")
    return Gpu(text, int(float(match[1]) * UNITS[match[2].upper()]))


def smallest(needed: int) -> Gpu | None:
    """The GPU with the least memory that suffices."""
    enough = [one for name, memory in MEMORY.items() if (one := Gpu(name, memory)).usable >= needed]
    return min(enough, key=lambda one: one.memory, default=None)


def world_of(size: int, slots: int, device: Device) -> World:
    """So many ranks on hosts of so many slots each, of which the last may have fewer."""
    whole, left = divmod(size, slots)
    sizes = [slots] * whole + ([left] if left else [])
    return World(tuple(Host(f"host-{number}", own) for number, own in enumerate(sizes)), device)


def torn_groups(world: World, topology: Topology) -> Iterator[tuple[int, int]]:
    """Tensor-parallel groups whose ranks are on several hosts: their first ranks, and how many hosts these are."""
    ends = list(accumulate(host.slots for host in world.hosts))
    host = 0
    for first in range(0, topology.size, topology.tensor):
        while ends[host] <= first:
            host += 1
        hosts = 1 + sum(end < first + topology.tensor for end in ends[host:])
        if hosts > 1:
            yield first, hosts
