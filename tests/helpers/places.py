"""Places of ranks as a launcher tells them."""

from __future__ import annotations

from neox_core.launch import Rendezvous


def place(rank: int, world_size: int = 2, port: int = 1) -> Rendezvous:
    return Rendezvous(
        rank=rank,
        local_rank=rank,
        world_size=world_size,
        local_world_size=world_size,
        master_addr="127.0.0.1",
        master_port=port,
    )
