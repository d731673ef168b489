"""The norm of the gradient: of each element once, however parameters are cut and copied over ranks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.parallel import Range


def global_norm(parts: Sequence[Tensor], device: torch.device, copies: int = 1) -> Tensor:
    """The root of the sum of squares over all ranks, a float64 scalar that is the same on all; every rank has to call it.

    It is not finite on all ranks if it is so on one.

    Args:
        parts: what this rank answers for, in any number format; squares are summed in float32 at least.
        device: where sums over ranks are made.
        copies: how often each element is in the parts of the ranks, where that is more than once.
    """
    total = torch.zeros((), dtype=torch.float64, device=device)
    if parts:
        norms = [torch.linalg.vector_norm(part, dtype=torch.promote_types(part.dtype, torch.float32)) for part in parts]
        total += torch.stack([norm.to(device) for norm in norms]).double().square().sum()
    if dist.get_world_size() > 1:
        dist.all_reduce(total)
    return (total / copies).sqrt()


def norm_as_counted(counted: Sequence[tuple[Tensor, int]], device: torch.device, copies: int = 1) -> Tensor:
    """The norm where some parts count several times, or not at all; see `clip_norm`. Not finite if any part is not.

    Args:
        counted: what this rank answers for, each with how often it counts.
        device: as in `global_norm`.
        copies: likewise.
    """
    parts = [part for part, times in counted for _ in range(times)]
    norm, whole = global_norm(parts, device, copies), global_norm([part for part, _ in counted], device, copies)
    return torch.where(torch.isfinite(whole), norm, whole)


def within(tensors: Sequence[Tensor], runs: Sequence[Range]) -> Iterator[Tensor]:
    """Of tensors that follow each other in a flat one, the parts that lie in runs of its elements; the runs ascend."""
    start, ahead = 0, deque(runs)
    for tensor in tensors:
        stop = start + tensor.numel()
        while ahead and ahead[0][0] < stop:
            first, last = max(ahead[0][0], start), min(ahead[0][1], stop)
            if first < last:
                yield tensor if (first, last) == (start, stop) else tensor.flatten()[first - start : last - start]
            if ahead[0][1] > stop:
                break
            ahead.popleft()
        start = stop


def joined(runs: Sequence[Range]) -> list[Range]:
    """Runs in ascending order, of which those that touch are one."""
    found: list[Range] = []
    for start, stop in sorted(runs):
        touches = bool(found) and found[-1][1] == start
        found.append((found.pop()[0] if touches else start, stop))
    return found
