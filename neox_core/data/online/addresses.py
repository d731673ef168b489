"""Which server a data-parallel rank gets its samples from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from neox_core.errors import UserError

T = TypeVar("T", str, int)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def server_of_rank(ips: str | Sequence[str], ports: int | Sequence[int], *, rank: int, world_size: int) -> Address:
    """The server of data-parallel rank `rank` of `world_size`; one address or port is that of all ranks.

    Raises:
        UserError: a list has not as many entries as there are data-parallel ranks.
    """
    return Address(
        ips if isinstance(ips, str) else _of_rank("online_dataserver_ips", ips, rank, world_size),
        ports if isinstance(ports, int) else _of_rank("online_dataserver_ports", ports, rank, world_size),
    )


def _of_rank(key: str, values: Sequence[T], rank: int, world_size: int) -> T:
    if len(values) != world_size:
        raise UserError(
            f"{key} has {len(values)} entries, {list(values)}, and there are {world_size} data-parallel ranks. "
            "Give one for each rank, or a single one for all."
        )
    return values[rank]
