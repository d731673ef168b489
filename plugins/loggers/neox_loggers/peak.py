"""The matrix-multiplication speed of this machine, measured: what a run's own speed is a share of.

    share = flops_per_token * tokens_per_second / machine_peak

The peak of one rank is measured on its device, in the precision of the run and with the rank's own number of threads.
On GPUs the ranks' peaks add up. CPU ranks share the cores of their host: `slots` ranks of `threads` threads each have
room for `cores / threads` at full speed, so no more than that many of them count.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from neox_core.config import World

SIZES = (256, 512, 1024, 2048, 4096, 8192)  # rows and columns; large ones need a fast device to be worth their time
REPETITIONS = 5
BUDGET = 0.3  # seconds


def matmul_peak(device: torch.device | str, dtype: torch.dtype) -> float:
    """The best FLOP/s that square matrix multiplications reach on `device` with the current number of threads.

    Takes about 0.3 s and draws nothing from the global random state. Other ranks may already be computing on this
    machine's other cores, as they do while training; the best of several repetitions is what is reported.
    """
    deadline = time.perf_counter() + BUDGET
    best = 0.0
    for size in SIZES:
        best = max(best, _best_of(size, torch.device(device), dtype, deadline))
        if time.perf_counter() >= deadline:
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


def _best_of(size: int, device: torch.device, dtype: torch.dtype, deadline: float) -> float:
    """The best FLOP/s of some multiplications of two `[size, size]` matrices; stops soon after `deadline`."""
    generator = torch.Generator(device).manual_seed(0)
    left, right = torch.randn(2, size, size, device=device, generator=generator).to(dtype)
    product = left @ right  # the first one loads libraries and allocates
    best = 0.0
    for _ in range(REPETITIONS):
        _wait(device)
        start = time.perf_counter()
        torch.matmul(left, right, out=product)
        _wait(device)
        end = time.perf_counter()
        best = max(best, 2 * size**3 / (end - start))
        if end >= deadline:
            break
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
