"""Process groups for tests and tools that run in one process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from neox_core.parallel.kept import forget


@contextlib.contextmanager
def solo_process_group() -> Iterator[None]:
    """A gloo process group of this process alone, for code that expects one; where there is one already, that is used."""
    if dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        forget()
        gc.collect()
        dist.destroy_process_group()
