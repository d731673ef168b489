"""The matrix-multiplication speed of this machine, measured: what a run's own speed is a share of.

    share = flops_per_token * tokens_per_second / machine_peak

The peak of one rank is measured on its device, in the precision of the run and with the rank's own number of threads.
On GPUs the ranks' peaks add up. CPU ranks share the cores of their host: `slots` ranks of `threads` threads each have
room for `cores / threads` at full speed, so no more than that many of them count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from neox_core.config import World

SIZES = (256, 512, 1024, 2048, 4096, 8192)  # rows and columns
REPETITIONS = 5
LONG = 0.01  # seconds; a multiplication that takes so long is large enough


def matmul_peak(device: torch.device | str, dtype: torch.dtype) -> float:
    """The best FLOP/s that square matrix multiplications reach on `device` with the current number of threads.

    Takes a few tenths of a second and draws nothing from the global random state. Other ranks may already be computing
    on this machine's other cores, as they do while training; the best of several repetitions is what is reported.
    """
    best = 0.0
    for size in SIZES:
        seconds = _fastest_multiplication(size, torch.device(device), dtype)
        best = max(best, 2 * size**3 / seconds)
        if seconds > LONG:
            break
    return best


def machine_peak(rank_peak: float, world: World, *, threads: int, cores: int) -> float:
    """The FLOP/s of all ranks together, when one reaches `rank_peak`; every host is taken to be like this one.

    Args:
        rank_peak: what `matmul_peak` measured on one rank.
        threads: of one rank; counts only on CPUs.
        cores: of one host; counts only on CPUs.
    """
    if world.device != "cpu":
        return rank_peak * world.size
    room = max(1.0, cores / threads)
    return rank_peak * sum(min(host.slots, room) for host in world.hosts)


def _fastest_multiplication(size: int, device: torch.device, dtype: torch.dtype) -> float:
    """The least number of seconds in which two `[size, size]` matrices were multiplied."""
    generator = torch.Generator(device).manual_seed(0)
    left, right = torch.randn(2, size, size, device=device, dtype=dtype, generator=generator)
    product = left @ right  # the first one loads libraries and allocates
    return min(_seconds(lambda: torch.matmul(left, right, out=product), device) for _ in range(REPETITIONS))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
