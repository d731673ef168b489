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
    """A box of the local tensor and the box of the global tensor that it is."""

    local: Box
    whole: Box


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """The blocks of a global parameter that this rank's local tensor consists of, and how many ranks hold the same."""

    name: str
    global_shape: tuple[int, ...]
    blocks: tuple[Block, ...]
    replicas: int = 1

    @classmethod
    def complete(cls, name: str, shape: tuple[int, ...], replicas: int = 1) -> ShardSpec:
        """The spec of a tensor that a rank holds whole."""
        box = tuple((0, size) for size in shape)
        return cls(name, shape, (Block(box, box),), replicas)

    @property
    def local_shape(self) -> tuple[int, ...]:
        """Shape of the tensor that this rank holds."""
        return tuple(
            max(block.local[dimension][1] for block in self.blocks) for dimension in range(len(self.global_shape))
        )

    @property
    def is_complete(self) -> bool:
        """Whether the local tensor is the global one."""
        return self.local_shape == self.global_shape

    @property
    def local_size(self) -> int:
        """Number of elements held here."""
        return math.prod(self.local_shape)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A flat piece of one rank's shard of a parameter, in one role.

    `role` is "weight" (the value that computes), "master" (its float32 original, where there is one), or the name of an
    optimizer state ("exp_avg", ...). `range` counts elements within the flattened shard; a scalar state has range (0, 1) and
    `scalar` set. `tensor` is the live, flat storage: reading is copying out of it, loading is copying into it.
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
