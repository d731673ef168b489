"""Which part of a global tensor a rank holds, shared by parallel layers, checkpoints, converters and planning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

Range = tuple[int, int]
"""Half-open interval of indices, (start, stop)."""

Box = tuple[Range, ...]
"""One range for each dimension of a tensor."""


@dataclass(frozen=True, slots=True)
class Block:
    """A box of the local tensor and the box of the global tensor that it is.

    Args:
        local: where it lies on this rank.
        whole: what it is.
        replica: several ranks of a tensor-parallel group may hold the same; which of them this one is. The first, 0, answers for it.
        replicas: how many they are.
    """

    local: Box
    whole: Box
    replica: int = 0
    replicas: int = 1

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(stop - start for start, stop in self.local)


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """The blocks of a global parameter that this rank's local tensor consists of."""

    name: str
    global_shape: tuple[int, ...]
    blocks: tuple[Block, ...]

    @classmethod
    def complete(cls, name: str, shape: tuple[int, ...], replica: int = 0, replicas: int = 1) -> ShardSpec:
        """The spec of a tensor that a rank holds whole, as one of several that do."""
        box = tuple((0, size) for size in shape)
        return cls(name, shape, (Block(box, box, replica, replicas),))

    @property
    def local_shape(self) -> tuple[int, ...]:
        """Shape of the tensor that this rank holds."""
        return tuple(
            max(block.local[dimension][1] for block in self.blocks) for dimension in range(len(self.global_shape))
        )

    @property
    def is_complete(self) -> bool:
        """Whether the local tensor is the global one, in the same order."""
        return self.local_shape == self.global_shape and all(block.local == block.whole for block in self.blocks)

    @property
    def local_size(self) -> int:
        """Number of elements held here."""
        return math.prod(self.local_shape)

    def owned(self, within: Range | None = None) -> list[Range]:
        """Runs of the flattened local tensor that this rank answers for: each element is in those of one tensor-parallel rank.

        Args:
            within: the run of interest; None for all.

        Raises:
            ValueError: the rank answers for a part that is not made of whole rows.
        """
        first, last = (0, self.local_size) if within is None else within
        if all(block.replica == 0 for block in self.blocks):
            return [(first, last)] if first < last else []
        row = self.local_size // max(self.local_shape[0], 1) if self.local_shape else 1
        runs: list[Range] = []
        for block in sorted(self.blocks, key=lambda block: block.local):
            start, stop = block.local[0] if block.local else (0, 1)
            if block.size != (stop - start) * row:
                raise ValueError(f"{self.name}: replicas of parts of rows cannot be told apart")
            start, stop = max(start * row, first), min(stop * row, last)
            if block.replica == 0 and start < stop:
                if runs and runs[-1][1] == start:
                    start, _ = runs.pop()
                runs.append((start, stop))
        return runs


def of_rank(role: str) -> bool:
    """Whether a role is of what single ranks remember for themselves, and begin anew without where ranks are others."""
    return role.startswith("rank.")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A flat piece of one rank's shard of a parameter, in one role.

    `role` is "weight" (the value that computes), "master" (its float32 original, where there is one), or the name of an
    optimizer state ("exp_avg", ...; of one that a rank keeps for itself, "rank." and a name). `range` counts elements within the
    flattened shard; a scalar state has range (0, 1) and `scalar` set. `tensor` is the live, flat storage: reading is copying out of
    it, loading is copying into it.
    """

    spec: ShardSpec
    role: str
    range: Range
    tensor: torch.Tensor
    scalar: bool = False

    @property
    def name(self) -> str:
        """Canonical name of the parameter."""
        return self.spec.name
