"""How a parameter is cut over tensor-parallel ranks: said of it when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neox_core.parallel.axis import Axis
from neox_core.parallel.shards import Block, Box, ShardSpec

_CUT, _PARTIAL, _COPIES = "neox_cut", "neox_partial_gradient", "neox_copies"


class Piece(NamedTuple):
    """A run of indices of a global dimension that a rank holds, as one (`replica`) of `replicas` neighbours that hold it."""

    start: int
    stop: int
    replica: int = 0
    replicas: int = 1

    @property
    def size(self) -> int:
        """Number of indices."""
        return self.stop - self.start


class Cut(NamedTuple):
    """How one parameter is cut.

    Args:
        dimension: along which.
        size: of the global tensor in this dimension.
        pieces: what this rank holds of it, in its own order.
    """

    dimension: int
    size: int
    pieces: tuple[Piece, ...]

    @property
    def held(self) -> int:
        """Size of the local tensor in the dimension."""
        return sum(piece.size for piece in self.pieces)


def evenly(size: int, axis: Axis) -> tuple[Piece, ...]:
    """This rank's piece of a dimension; pieces differ by one where it is not a multiple of the ranks."""
    return (Piece(axis.rank * size // axis.size, (axis.rank + 1) * size // axis.size),)


def shares(size: int, axis: Axis) -> list[int]:
    """How many indices of such a dimension each rank has."""
    return [(rank + 1) * size // axis.size - rank * size // axis.size for rank in range(axis.size)]


def cut(parameter: nn.Parameter, dimension: int, size: int, pieces: Sequence[Piece]) -> nn.Parameter:
    """Say that a parameter is this rank's part of a global one.

    Raises:
        ValueError: it is not as large as the pieces.
    """
    said = Cut(dimension, size, tuple(pieces))
    if parameter.shape[dimension] != said.held:
        raise ValueError(
            f"a parameter of shape {tuple(parameter.shape)} does not have the {said.held} indices of {pieces}"
        )
    setattr(parameter, _CUT, said)
    return parameter


def cut_of(parameter: Tensor) -> Cut | None:
    """How a parameter is cut; None where each rank has all of it."""
    found: Cut | None = getattr(parameter, _CUT, None)
    return found


def global_shape(parameter: Tensor) -> tuple[int, ...]:
    """The shape of the parameter that this one is a part of, or is."""
    shape, said = list(parameter.shape), cut_of(parameter)
    if said is not None:
        shape[said.dimension] = said.size
    return tuple(shape)


def spec_of(name: str, parameter: Tensor, tensor: Axis | None = None) -> ShardSpec:
    """What this rank of `tensor`, if that matters, holds of the parameter of this name."""
    tensor = tensor or Axis()
    said = cut_of(parameter)
    if said is None:
        return ShardSpec.complete(name, tuple(parameter.shape), tensor.rank, tensor.size)
    place, blocks = 0, []
    for piece in said.pieces:
        local, whole = ([(0, size) for size in parameter.shape] for _ in range(2))
        local[said.dimension] = (place, place + piece.size)
        whole[said.dimension] = (piece.start, piece.stop)
        blocks.append(Block(tuple(local), tuple(whole), piece.replica, piece.replicas))
        place += piece.size
    return ShardSpec(name, global_shape(parameter), tuple(blocks))


def local_part(whole: Tensor, spec: ShardSpec) -> Tensor:
    """What a rank holds of a global tensor; a new tensor, unless it is all of it."""
    if spec.is_complete:
        return whole
    part = whole.new_empty(spec.local_shape)
    for block in spec.blocks:
        part[_slices(block.local)] = whole[_slices(block.whole)]
    return part


def put_part(whole: Tensor, part: Tensor, spec: ShardSpec) -> None:
    """Put what a rank holds to its place in a global tensor; the inverse of `local_part`."""
    for block in spec.blocks:
        whole[_slices(block.whole)] = part[_slices(block.local)]


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)


class Copies(NamedTuple):
    """The stages of a pipeline that hold one parameter.

    Args:
        stages: in order. The first answers for it.
        stage: this one.
    """

    stages: tuple[int, ...]
    stage: int


def copied_parameter(parameter: nn.Parameter, stages: Iterable[int], stage: int) -> nn.Parameter:
    """Say that several stages of a pipeline hold a parameter, of which this is one. Its gradient is the sum of theirs."""
    setattr(parameter, _COPIES, Copies(tuple(stages), stage))
    return parameter


def copies_of(parameter: Tensor) -> Copies | None:
    """Which stages hold a parameter; None where a single one does."""
    found: Copies | None = getattr(parameter, _COPIES, None)
    return found


def is_copy(parameter: Tensor) -> bool:
    """Whether an earlier stage answers for a parameter: it counts it in norms, and saves it."""
    copies = copies_of(parameter)
    return copies is not None and copies.stage != copies.stages[0]


def with_partial_gradient(parameter: nn.Parameter) -> nn.Parameter:
    """Say that each tensor-parallel rank computes only a part of a parameter's gradient, which is the sum of all their parts.

    Of a parameter that is not cut: it multiplies what differs from rank to rank, such as tokens or heads.
    """
    setattr(parameter, _PARTIAL, True)
    return parameter


def sum_partial_gradients(module: nn.Module, axis: Axis) -> None:
    """Have the gradients that are said to be partial summed over the ranks, before anything else sees them.

    It happens within the backward pass, since ZeRO 2 and 3 take gradients away as soon as they are there. Summed too are the parts
    of rows that a rank holds as one of several (`Piece.replicas`).
    """
    if axis.size == 1:
        return
    for parameter in module.parameters():
        said = cut_of(parameter)
        if not parameter.requires_grad:
            continue
        if getattr(parameter, _PARTIAL, False):
            _on_gradient(parameter, lambda gradient: axis.sum(gradient.contiguous().clone()))
        elif said is not None and any(piece.replicas > 1 for piece in said.pieces):
            _on_gradient(parameter, partial(_with_replicas, said, axis))


def _on_gradient(parameter: nn.Parameter, change: Callable[[Tensor], Tensor]) -> None:
    """Have the gradient of each backward pass changed before it is accumulated."""
    parameter.register_hook(change)  # type: ignore[no-untyped-call]


def _with_replicas(said: Cut, axis: Axis, gradient: Tensor) -> Tensor:
    """The gradient, in which the pieces that neighbours hold too are the sums of their parts."""
    pieces = list(torch.split(gradient, [piece.size for piece in said.pieces], said.dimension))
    shared = [index for index, piece in enumerate(said.pieces) if piece.replicas > 1]
    parts = axis.gather(torch.stack([pieces[index] for index in shared])[None], 0)  # [ranks, shared pieces, ...]
    for place, index in enumerate(shared):
        first = axis.rank - said.pieces[index].replica
        pieces[index] = parts[first : first + said.pieces[index].replicas, place].sum(0)
    return torch.cat(pieces, said.dimension)
