"""How the ranks that save together agree: a small protocol, and a step that fails on all ranks if it fails on one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch.distributed as dist

from neox_core.errors import UserError

T = TypeVar("T")


class Group(Protocol):
    """Ranks that exchange small Python values. Every rank calls the same methods in the same order."""

    @property
    def rank(self) -> int:
        """This process's place in the group, from 0."""

    @property
    def world_size(self) -> int:
        """Number of ranks."""

    def gather(self, value: T) -> list[T] | None:
        """The values of all ranks by rank, on rank 0; None elsewhere."""

    def broadcast(self, value: T) -> T:
        """The value of rank 0."""

    def barrier(self) -> None:
        """Wait until every rank is here."""


class SoloGroup:
    """One process by itself."""

    rank = 0
    world_size = 1

    def gather(self, value: T) -> list[T] | None:
        """The one value there is."""
        return [value]

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value

    def barrier(self) -> None:
        """Nobody to wait for."""


class TorchGroup:
    """The ranks of a torch.distributed process group (gloo: the values travel through host memory)."""

    def __init__(self, process_group: dist.ProcessGroup | None = None) -> None:
        """Take a process group of the gloo backend, or None for the default one."""
        self._group = process_group or dist.group.WORLD
        self._main = dist.get_global_rank(self._group, 0) if self._group is not None else 0
        self.rank = dist.get_rank(self._group)
        self.world_size = dist.get_world_size(self._group)

    def gather(self, value: T) -> list[T] | None:
        """The values of all ranks by rank, on rank 0; None elsewhere."""
        values: list[T] | None = [value] * self.world_size if self.rank == 0 else None
        dist.gather_object(value, values, dst=self._main, group=self._group)
        return values

    def broadcast(self, value: T) -> T:
        """The value of rank 0."""
        box = [value]
        dist.broadcast_object_list(box, src=self._main, group=self._group)
        return box[0]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        dist.barrier(self._group)


@dataclass(frozen=True, slots=True)
class _Failure:
    rank: int
    reason: str


def together(group: Group, what: str, work: Callable[[], T]) -> list[T] | None:
    """Do `work` on every rank: its results by rank on rank 0, None elsewhere; an error everywhere if it fails anywhere.

    The rank that failed raises its own error; `what` begins the sentence that the others raise.

    Raises:
        UserError: `work` failed on another rank; the sentence names it and gives its reason.
    """
    try:
        result = work()
    except Exception as error:
        _exchange(group, _Failure(group.rank, str(error) or type(error).__name__))
        raise
    results, failures = _exchange(group, result)
    if failures:
        reasons = "; ".join(f"rank {failure.rank}: {failure.reason}" for failure in failures)
        raise UserError(f"{what} failed on {reasons}")
    return results


def _exchange(group: Group, report: T | _Failure) -> tuple[list[T] | None, list[_Failure]]:
    reports = group.gather(report)
    failures = group.broadcast([report for report in reports or [] if isinstance(report, _Failure)])
    results = None if reports is None else [report for report in reports if not isinstance(report, _Failure)]
    return results, failures
