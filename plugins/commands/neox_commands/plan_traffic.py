"""What ranks send each other: counted where layers ask an axis for it, calculated where DeepSpeed and pipelines do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from neox_core.parallel import Axis, Mesh
from neox_core.parallel.axis import Pending, Shift

Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send"]

Traffic = Mapping[Collective, float]
"""Bytes by collective: of the whole tensor that is summed, gathered, scattered or exchanged, or that is sent."""


def sent(traffic: Traffic, ranks: int) -> float:
    """Bytes that a rank of a group sends, where collectives go around a ring (Patarasuk and Yuan, 2009)."""
    share = (ranks - 1) / ranks
    factors = {"all_reduce": 2 * share, "all_gather": share, "reduce_scatter": share, "all_to_all": share, "send": 1.0}
    return sum(factors[kind] * size for kind, size in traffic.items())


def times(traffic: Traffic, number: float) -> Traffic:
    """The same so many times."""
    return {kind: size * number for kind, size in traffic.items()}


def together(*parts: Traffic) -> Traffic:
    """The sum."""
    total: Counter[Collective] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


@dataclass(frozen=True, slots=True)
class CountedAxis(Axis):
    """An axis without a group that remembers what it was asked for."""

    counted: Counter[Collective] = field(default_factory=Counter, compare=False)

    def sum(self, tensor: Tensor, *, wide: bool = False) -> Tensor:
        """Counted."""
        self._count("all_reduce", tensor, wide=wide)
        return Axis.sum(self, tensor, wide=wide)

    def start_sum(self, tensor: Tensor, *, wide: bool = False) -> Pending:
        """Counted."""
        self._count("all_reduce", tensor, wide=wide)
        return Axis.start_sum(self, tensor, wide=wide)

    def largest(self, tensor: Tensor) -> Tensor:
        """Counted."""
        self._count("all_reduce", tensor)
        return Axis.largest(self, tensor)

    def start_gather(self, tensor: Tensor, dim: int) -> Pending:
        """Counted; all other ways to gather come to it."""
        self._count("all_gather", tensor, copies=self.size)
        return Axis.start_gather(self, tensor, dim)

    def start_scatter_sum(self, tensor: Tensor, dim: int, *, wide: bool = False) -> Pending:
        """Counted; all other ways to scatter come to it."""
        self._count("reduce_scatter", tensor, wide=wide)
        return Axis.start_scatter_sum(self, tensor, dim, wide=wide)

    def all_to_all(self, tensor: Tensor, cut: int, join: int) -> Tensor:
        """Counted."""
        self._count("all_to_all", tensor)
        return Axis.all_to_all(self, tensor, cut, join)

    def start_shift(self, tensor: Tensor) -> Shift:
        """Counted."""
        self._count("send", tensor)
        return Axis.start_shift(self, tensor)

    def _count(self, kind: Collective, tensor: Tensor, *, wide: bool = False, copies: int = 1) -> None:
        if self.size > 1:
            width = max(tensor.dtype.itemsize, 4) if wide else tensor.dtype.itemsize
            self.counted[kind] += tensor.numel() * width * copies

    def taken(self) -> Traffic:
        """What was counted since this was last asked."""
        counted = dict(self.counted)
        self.counted.clear()
        return counted


def counted(mesh: Mesh) -> Mesh:
    """A mesh without groups whose tensor and context axes count."""
    return dataclasses.replace(mesh, tensor=_counted(mesh.tensor), context=_counted(mesh.context))


def _counted(axis: Axis) -> CountedAxis:
    return CountedAxis(axis.rank, axis.size, None, axis.ranks)


def taken(mesh: Mesh) -> dict[str, Traffic]:
    """What the axes of such a mesh counted since this was last asked."""
    axes: dict[str, Any] = {"tensor": mesh.tensor, "context": mesh.context}
    return {name: axis.taken() for name, axis in axes.items()}
