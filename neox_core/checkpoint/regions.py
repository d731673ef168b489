"""Which box of a global tensor a run of a flat local one is: in closed form, however many elements there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from neox_core.parallel.shards import Box, Range, ShardSpec


@dataclass(frozen=True, slots=True)
class Region:
    """A box of a global tensor, and where its elements lie in a flat local tensor.

    Args:
        whole: the box.
        start: place of its first element.
        strides: between neighbours along each dimension, in elements.
    """

    whole: Box
    start: int
    strides: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the box."""
        return tuple(stop - start for start, stop in self.whole)

    @property
    def span(self) -> Range:
        """From its first to its last element; between them there may be others."""
        return span(self.start, self.shape, self.strides)

    def within(self, box: Box) -> Region:
        """The part of it that is `box`, which it contains."""
        steps = (inner[0] - outer[0] for inner, outer in zip(box, self.whole, strict=True))
        return Region(box, self.start + _place(steps, self.strides), self.strides)


def regions(spec: ShardSpec, run: Range) -> list[Region]:
    """The regions that a run of the flattened local tensor consists of; they do not overlap.

    A run begins and ends anywhere, so that it is several boxes even of a tensor that is cut nowhere: of [rows, columns] the end of a
    row, whole rows, and the beginning of a row.

    Raises:
        ValueError: the local tensor is not as long.
    """
    shape = spec.local_shape
    if run[1] > spec.local_size:
        raise ValueError(f"{spec.name} has {spec.local_size} elements here, and no elements {run[0]} to {run[1]}")
    strides = tuple(math.prod(shape[dimension + 1 :]) for dimension in range(len(shape)))
    found = []
    for slab in _slabs(shape, run):
        for block in spec.blocks:
            local = shared(slab, block.local)
            if local is not None:
                shifts = [to[0] - at[0] for at, to in zip(block.local, block.whole, strict=True)]
                whole = tuple((a + shift, b + shift) for (a, b), shift in zip(local, shifts, strict=True))
                found.append(Region(whole, _place((a for a, _ in local), strides), strides))
    return found


def shared(one: Box, other: Box) -> Box | None:
    """What two boxes have in common; None: nothing."""
    box = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
    return box if all(start < stop for start, stop in box) else None


def without(box: Box, inner: Box) -> Iterator[Box]:
    """Boxes that together are a box without a part of it."""
    for dimension, ((start, stop), (first, last)) in enumerate(zip(box, inner, strict=True)):
        before, after = inner[:dimension], box[dimension + 1 :]
        if start < first:
            yield (*before, (start, first), *after)
        if last < stop:
            yield (*before, (last, stop), *after)


def span(start: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Range:
    """The run of a flat tensor from the first element of a block, at `start`, to its last one."""
    return start, start + _place((size - 1 for size in shape), strides) + 1


def _slabs(shape: tuple[int, ...], run: Range) -> Iterator[Box]:
    """The boxes that a run of a flattened tensor consists of, in order: fewer than twice as many as dimensions."""
    start, stop = run
    if start >= stop:
        return
    if not shape:
        yield ()
        return
    inner = shape[1:]
    row = math.prod(inner)
    (first, head), (last, tail) = divmod(start, row), divmod(stop, row)
    if first == last:
        yield from (((first, first + 1), *box) for box in _slabs(inner, (head, tail)))
        return
    if head:
        yield from (((first, first + 1), *box) for box in _slabs(inner, (head, row)))
        first += 1
    if first < last:
        yield ((first, last), *((0, size) for size in inner))
    yield from (((last, last + 1), *box) for box in _slabs(inner, (0, tail)))


def _place(indices: Iterable[int], strides: tuple[int, ...]) -> int:
    return sum(index * stride for index, stride in zip(indices, strides, strict=True))
