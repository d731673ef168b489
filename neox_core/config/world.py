"""What a run's machines are, as plain values that `launch` supplies and settings are resolved against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Host:
    """One machine and the number of ranks that run on it.

    Raises:
        ValueError: that is less than 1.
    """

    name: str
    slots: int

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"{self.name} has {self.slots} slots: at least 1 rank runs on each host of a world")


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of a run: rank 0 is the first slot of the first host, then the host's other slots, then the next host."""

    hosts: tuple[Host, ...]
    device: Device = "cpu"

    @property
    def size(self) -> int:
        """Number of ranks."""
        return sum(host.slots for host in self.hosts)

    @classmethod
    def local(cls, ranks: int = 1, device: Device = "cpu") -> World:
        """A world of `ranks` ranks on this machine."""
        return cls((Host("localhost", ranks),), device)
