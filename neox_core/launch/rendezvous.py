"""How the ranks of a run find each other: the variables that torch.distributed reads, and the port they meet at."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from neox_core.config.world import World
from neox_core.errors import UserError

_PORTS_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST_PORT = 10_000  # many of those below belong to well-known services
_TRIES = 64

_NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendezvous:
    """One rank's place among all, and where rank 0 listens. `local_*` count the ranks of the same host."""

    rank: int
    local_rank: int
    world_size: int
    local_world_size: int
    master_addr: str
    master_port: int

    @classmethod
    def of_rank(cls, rank: int, world: World, *, master_addr: str, master_port: int) -> Self:
        """The place of `rank` in `world`. IndexError when the world has no such rank."""
        local_rank = rank
        for host in world.hosts:
            if 0 <= local_rank < host.slots:
                return cls(
                    rank=rank,
                    local_rank=local_rank,
                    world_size=world.size,
                    local_world_size=host.slots,
                    master_addr=master_addr,
                    master_port=master_port,
                )
            local_rank -= host.slots
        raise IndexError(f"rank {rank} in a world of {world.size}")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """What a launcher told this process. UserError names the variable that is missing or makes no sense."""
        world_size = _number(environ, "WORLD_SIZE", 1)
        local_world_size = _number(environ, "LOCAL_WORLD_SIZE", 1, world_size)
        return cls(
            rank=_number(environ, "RANK", 0, world_size - 1),
            local_rank=_number(environ, "LOCAL_RANK", 0, local_world_size - 1),
            world_size=world_size,
            local_world_size=local_world_size,
            master_addr=_text(environ, "MASTER_ADDR"),
            master_port=_number(environ, "MASTER_PORT", 1, 65535),
        )

    def environment(self) -> dict[str, str]:
        """The variables to start this rank with, named as torchrun names them."""
        values = (
            self.rank,
            self.local_rank,
            self.world_size,
            self.local_world_size,
            self.master_addr,
            self.master_port,
        )
        return {name: str(value) for name, value in zip(_NAMES, values, strict=True)}


def port_is_free(port: int, host: str = "") -> bool:
    """Whether a server could listen on this TCP port now; `host` is an address of this machine, "" is all of them."""
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def free_port(host: str = "") -> int:
    """A TCP port that nobody listens on now.

    Another process may take it before it is used. Those that the system deals out to every connection are taken and given back
    all the time, and are only chosen where there are no others.
    """
    below = range(_LOWEST_PORT, _first_port_of_connections())
    for port in random.SystemRandom().sample(below, min(_TRIES, len(below))):
        if port_is_free(port, host):
            return port
    with socket.create_server((host, 0)) as server:
        dealt: int = server.getsockname()[1]
        return dealt


def _first_port_of_connections() -> int:
    """Linux tells where the range begins of which connections get their ports; elsewhere it begins no lower than its default."""
    try:
        return int(_PORTS_OF_CONNECTIONS.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise UserError(
            f"{name} is not set; each rank is started by a launcher (`neox train`, torchrun) that sets {_all()}"
        )
    return value


def _number(environ: Mapping[str, str], name: str, least: int, most: int | None = None) -> int:
    text = _text(environ, name)
    value = int(text) if text.isdecimal() else -1
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"{least} to {most}"
        raise UserError(
            f"{name}: {text!r} is not a whole number that fits ({allowed}); it is set by the launcher "
            f"(`neox train`, torchrun), which has to set all of {_all()}"
        )
    return value


def _all() -> str:
    return ", ".join(_NAMES)
