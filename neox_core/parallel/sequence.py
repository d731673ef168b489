"""Which tokens of a sample each context-parallel rank has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neox_core.parallel.axis import Axis
from neox_core.parallel.regions import SEQUENCE, TensorParallel
from neox_core.parallel.shards import Range


def length_unit(ranks: int) -> int:
    """What the number of a sample's tokens has to be a multiple of, where so many ranks share them."""
    return 1 if ranks == 1 else 2 * ranks


@dataclass(frozen=True, slots=True)
class SequenceLayout:
    """The tokens of a sample, cut into 2 n chunks for n ranks: rank r has the chunks r and 2 n - 1 - r, in this order.

    A token sees earlier ones only, so that a later chunk is more work than an earlier one. A pair of chunks is equally much on all
    ranks, and of any two ranks each sees exactly half of the pairs of its chunks and the other's (Brandon et al., "Striped
    Attention", 2023, balance the same work token by token; whole chunks keep kernels busy).

    Args:
        axis: the ranks.
        length: tokens of a whole sample.

    Raises:
        ValueError: they cannot be cut into such chunks.
    """

    axis: Axis
    length: int

    def __post_init__(self) -> None:
        unit = length_unit(self.axis.size)
        if self.length % unit:
            raise ValueError(
                f"{self.length} tokens over {self.axis.size} context-parallel ranks: have a multiple of {unit}"
            )

    @classmethod
    def of_part(cls, axis: Axis, length: int) -> SequenceLayout:
        """The layout in which each rank has so many tokens."""
        return cls(axis, axis.size * length)

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return length_unit(self.axis.size)

    def runs(self, rank: int | None = None) -> tuple[Range, ...]:
        """The places in the sample, from start to stop, of what a rank has (None: this one); they ascend."""
        rank = self.axis.rank if rank is None else rank
        held = (rank,) if self.chunks == 1 else (rank, self.chunks - 1 - rank)
        size = self.length // self.chunks
        return tuple((chunk * size, (chunk + 1) * size) for chunk in held)

    def places(self, rank: int | None = None, device: torch.device | str | None = None) -> Tensor:
        """Where in the sample each token of a rank is: int64 [tokens of a rank], ascending."""
        return torch.cat([torch.arange(start, stop, device=device) for start, stop in self.runs(rank)])

    def part(self, whole: Tensor, dim: int = SEQUENCE) -> Tensor:
        """This rank's tokens of what all ranks have alike; itself where there is one rank."""
        if self.axis.size == 1:
            return whole
        return torch.cat([whole.narrow(dim, start, stop - start) for start, stop in self.runs()], dim)

    def join(self, part: Tensor, dim: int = SEQUENCE) -> Tensor:
        """The tokens of all ranks, in order. What follows is computed alike on all ranks: gradients are not summed."""
        return self.in_order(TensorParallel(self.axis).join(part, dim), dim)

    def enter(self, part: Tensor, *, wide: bool = False) -> Tensor:
        """The tokens of all ranks, in order, into what each rank computes a part of: the gradients of all ranks are summed.

        Args:
            part: [batch, tokens of a rank, ...].
            wide: whether gradients are summed in float32 at least.
        """
        return self.in_order(TensorParallel(self.axis, sequence=True, wide=wide).enter(part), SEQUENCE)

    def in_order(self, by_rank: Tensor, dim: int = SEQUENCE) -> Tensor:
        """What ranks have, one rank after the other -> in the order of the sample."""
        return self._rearranged(by_rank, dim, [self._index(chunk) for chunk in range(self.chunks)])

    def by_rank(self, in_order: Tensor, dim: int = SEQUENCE) -> Tensor:
        """A sample in order -> one rank's tokens after the other's."""
        ranks = range(self.axis.size)
        return self._rearranged(in_order, dim, [chunk for rank in ranks for chunk in (rank, self.chunks - 1 - rank)])

    def _index(self, chunk: int) -> int:
        """Which of the chunks it is, counted rank by rank."""
        return 2 * chunk if chunk < self.axis.size else 2 * (self.chunks - 1 - chunk) + 1

    def _rearranged(self, tensor: Tensor, dim: int, order: list[int]) -> Tensor:
        if self.axis.size == 1:
            return tensor
        chunks = tensor.chunk(self.chunks, dim)
        return torch.cat([chunks[index] for index in order], dim)
