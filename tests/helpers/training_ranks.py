"""What the ranks of `Workers` are asked to do in its own tests."""

from __future__ import annotations

import os
import time

import torch
import torch.distributed as dist


def place() -> tuple[int, int, int]:
    return os.getpid(), dist.get_rank(), dist.get_world_size()


def total(value: int) -> int:
    tensor = torch.tensor(value * (dist.get_rank() + 1))
    dist.all_reduce(tensor)
    return int(tensor)


def fail_on(rank: int, *, then_wait: bool = False) -> str:
    if dist.get_rank() == rank:
        raise RuntimeError("the reactor is cold")
    if then_wait:
        dist.barrier()
    return "fine"


def die_on(rank: int) -> None:
    if dist.get_rank() == rank:
        os._exit(7)
    dist.barrier()


def hang_on(rank: int) -> None:
    if dist.get_rank() == rank:
        time.sleep(600)


def unpicklable() -> object:
    return lambda: None
