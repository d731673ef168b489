"""Which rank is where: a value that can be asked everything without a process group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

AxisName = Literal["pipe", "data", "context", "tensor"]

AXES: tuple[AxisName, ...] = ("pipe", "data", "context", "tensor")
"""In the order of ranks, the last one fastest: tensor-parallel ranks are neighbours, as in GPT-NeoX."""


AXIS_KEYS: dict[AxisName, str] = {
    "pipe": "pipe_parallel_size",
    "context": "context_parallel_size",
    "tensor": "model_parallel_size",
}
"""The keys that say how many ranks there are along each axis; those along data are what is left."""


class Place(NamedTuple):
    """A rank's place along each axis, from 0."""

    pipe: int
    data: int
    context: int
    tensor: int


@dataclass(frozen=True, slots=True)
class Topology:
    """How many ranks there are along each axis.

    Args:
        pipe: stages of the pipeline, each with some of the layers.
        data: groups of ranks that see different samples.
        context: ranks over which the tokens of a sample are cut.
        tensor: ranks over which matrices are cut.

    Raises:
        ValueError: one of them is less than 1.
    """

    pipe: int = 1
    data: int = 1
    context: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"{self} has an axis without ranks")

    @property
    def shape(self) -> Place:
        """Ranks along each axis."""
        return Place(self.pipe, self.data, self.context, self.tensor)

    @property
    def size(self) -> int:
        """Number of ranks."""
        return math.prod(self.shape)

    @property
    def replicas(self) -> int:
        """Ranks that hold the same weights, whose gradients are averaged: those along data and context."""
        return self.data * self.context

    def place(self, rank: int) -> Place:
        """Where a rank is."""
        found = []
        for size in reversed(self.shape):
            rank, index = divmod(rank, size)
            found.append(index)
        return Place(*reversed(found))

    def rank_at(self, place: Place) -> int:
        """Which rank is at a place."""
        rank = 0
        for size, index in zip(self.shape, place, strict=True):
            rank = rank * size + index
        return rank

    def group(self, rank: int, *axes: AxisName) -> tuple[int, ...]:
        """The ranks that differ from one in their places along these axes alone, itself among them, in order."""
        own = zip(AXES, self.shape, self.place(rank), strict=True)
        places = itertools.product(*(range(size) if axis in axes else (index,) for axis, size, index in own))
        return tuple(self.rank_at(Place(*place)) for place in places)

    def groups(self, *axes: AxisName) -> Iterator[tuple[int, ...]]:
        """All such groups, by their first ranks."""
        sizes = zip(AXES, self.shape, strict=True)
        for first in itertools.product(*(range(1 if axis in axes else size) for axis, size in sizes)):
            yield self.group(self.rank_at(Place(*first)), *axes)

    def experts(self, size: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """The groups of ranks over which a layer's experts are dealt, where so many share them, and those that have the same experts.

        Each rank is in one of either. They are among the ranks that have the same weights otherwise, of which neighbours share.

        Raises:
            ValueError: these ranks cannot be cut into groups of this size.
        """
        if self.replicas % size:
            raise ValueError(
                f"{self.replicas} ranks along data and context cannot be cut into groups of {size} for experts"
            )
        alike = [*self.groups("data", "context")]
        shared = [ranks[start : start + size] for ranks in alike for start in range(0, self.replicas, size)]
        return shared, [ranks[index::size] for ranks in alike for index in range(size)]

    @classmethod
    def of(cls, args: NeoXArgs, data: int) -> Topology:
        """What settings ask for, where so many ranks see different samples."""
        return cls(data=data, **{axis: max(getattr(args, key), 1) for axis, key in AXIS_KEYS.items()})

    def __str__(self) -> str:
        """The axes that are cut: "pipe 2 x tensor 4"."""
        cut = [f"{axis} {size}" for axis, size in zip(AXES, self.shape, strict=True) if size > 1]
        return " x ".join(cut) or "one rank"


def on_one_rank(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run without those that cut it over several ranks: of a checkpoint that no rank has saved."""
    axes = set(AXIS_KEYS.values())
    return {key: value for key, value in values.items() if key not in axes or not isinstance(value, int) or value <= 1}
