"""What to copy from where to have a part of a tensor, from parts that were cut in another way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from neox_core.checkpoint.pieces import Piece
from neox_core.checkpoint.regions import Region, regions, shared, span, without
from neox_core.parallel.shards import Box, Range, ShardSpec


class Stored(NamedTuple):
    """A piece and the shard file that it lies in."""

    shard: str
    piece: Piece


class Place(NamedTuple):
    """Where the elements of a block lie in a flat tensor: the first one, and the strides between neighbours."""

    start: int
    strides: tuple[int, ...]

    def of(self, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A view of a tensor in which its elements are neighbours in memory."""
        return flat[self.start :].as_strided(shape, self.strides)


@dataclass(frozen=True, slots=True)
class Copy:
    """A block of elements to take.

    Args:
        stored: the piece that has them.
        shape: of the block, of as few dimensions as can be: one where they are neighbours in both tensors.
        source: where they lie in the piece.
        target: where they go in what is asked for.
    """

    stored: Stored
    shape: tuple[int, ...]
    source: Place
    target: Place

    @property
    def span(self) -> Range:
        """From the first to the last element in the piece."""
        return span(self.source.start, self.shape, self.source.strides)


class Covered(NamedTuple):
    """What can be had of what was asked for.

    Args:
        copies: what to copy; no element comes twice.
        missing: boxes of the global tensor that nobody has.
    """

    copies: list[Copy]
    missing: list[Box]


def cover(stored: Sequence[Stored], spec: ShardSpec, wanted: Range, opened: Container[str] = ()) -> Covered:
    """Find elements `wanted` of the flat local tensor of `spec` in pieces of the same global tensor.

    Pieces that were cut over tensor-parallel ranks in the same way are looked at first: what they have is copied in runs. A scalar
    belongs to the tensor as a whole: where there is one, it is what the only element of the run (0, 1) is; of several that of a shard
    which is `opened` already is taken.
    """
    if wanted == (0, 1) and any(one.piece.scalar for one in stored):
        return Covered([_copy_of_scalar(stored, spec, opened)], [])
    cuttings = _by_cutting(one for one in stored if not one.piece.scalar)
    runs, gaps = _runs(cuttings.pop(_cutting(spec), []), wanted)
    copies = [_copy_of_run(run, wanted[0]) for run in runs]
    missing = [region for gap in gaps for region in regions(spec, gap)]
    for pieces in cuttings.values():
        if missing:
            found, missing = _regions_of(pieces, missing, wanted[0])
            copies += found
    return Covered(copies, [region.whole for region in missing])


Cutting = tuple[tuple[Box, Box], ...]
"""The blocks of a local tensor, without which of several replicas they are."""


def _cutting(spec: ShardSpec) -> Cutting:
    return tuple((block.local, block.whole) for block in spec.blocks)


def _by_cutting(stored: Iterable[Stored]) -> dict[Cutting, list[Stored]]:
    found: dict[Cutting, list[Stored]] = defaultdict(list)
    for one in stored:
        found[_cutting(one.piece.spec)].append(one)
    return found


class _Run(NamedTuple):
    """Elements of a flat local tensor that a piece holds."""

    stored: Stored
    range: Range


def _runs(pieces: Iterable[Stored], wanted: Range) -> tuple[list[_Run], list[Range]]:
    """Walk along the wanted run and take each element from the first piece that holds it; also, the runs that none holds."""
    position, stop = wanted
    runs, gaps = [], []
    for one in sorted(pieces, key=lambda one: one.piece.range):
        first, last = max(one.piece.range[0], position), min(one.piece.range[1], stop)
        if first < last:
            runs.append(_Run(one, (first, last)))
            if position < first:
                gaps.append((position, first))
            position = last
    if position < stop:
        gaps.append((position, stop))
    return runs, gaps


def _regions_of(pieces: Sequence[Stored], missing: list[Region], origin: int) -> tuple[list[Copy], list[Region]]:
    """What pieces of one local tensor have of regions that are missing; also, what is missing then."""
    spec = pieces[0].piece.spec
    runs, gaps = _runs(pieces, (0, spec.local_size))
    copies: list[Copy] = []
    absent: list[Region] = []
    for block in regions(spec, (0, spec.local_size)):
        taken, missing = _take(missing, block)
        for region in taken:
            first, last = block.within(region.whole).span
            near = [run for run in runs if first < run.range[1] and run.range[0] < last]
            for run in near:
                shares = _shared(regions(spec, run.range), region)
                copies += (_copy(run.stored, held, part, origin) for held, part in shares)
            absent += (part for gap in gaps for _, part in _shared(regions(spec, gap), region))
    return copies, missing + absent


def _take(missing: Iterable[Region], held: Region) -> tuple[list[Region], list[Region]]:
    """What a held region has of those that are missing, and the rest of them."""
    taken, rest = [], []
    for region in missing:
        box = shared(region.whole, held.whole)
        if box is None:
            rest.append(region)
        else:
            taken.append(region.within(box))
            rest += [region.within(other) for other in without(region.whole, box)]
    return taken, rest


def _shared(held: Iterable[Region], wanted: Region) -> Iterator[tuple[Region, Region]]:
    """What regions have of another one: as a part of them, and of that."""
    for region in held:
        box = shared(region.whole, wanted.whole)
        if box is not None:
            yield region.within(box), wanted.within(box)


def _copy_of_scalar(stored: Sequence[Stored], spec: ShardSpec, opened: Container[str]) -> Copy:
    """Of all that were saved one that a rank with the same part of the tensor saved; best this rank itself."""
    cutting = _cutting(spec)
    scalars = (one for one in stored if one.piece.scalar)
    nearest = min(scalars, key=lambda one: (_cutting(one.piece.spec) != cutting, one.shard not in opened))
    return Copy(nearest, (), Place(0, ()), Place(0, ()))


def _copy_of_run(run: _Run, origin: int) -> Copy:
    (first, last), start = run.range, run.stored.piece.range[0]
    return Copy(run.stored, (last - first,), Place(first - start, (1,)), Place(first - origin, (1,)))


def _copy(stored: Stored, held: Region, wanted: Region, origin: int) -> Copy:
    """Of a box that lies in a piece, and in the wanted run, which begins at `origin`."""
    steps = list(_joined(held.shape, held.strides, wanted.strides))
    source = Place(held.start - stored.piece.range[0], tuple(step.source for step in steps))
    target = Place(wanted.start - origin, tuple(step.target for step in steps))
    return Copy(stored, tuple(step.size for step in steps), source, target)


class _Step(NamedTuple):
    size: int
    source: int
    target: int


def _joined(shape: tuple[int, ...], source: tuple[int, ...], target: tuple[int, ...]) -> Iterator[_Step]:
    """A box's dimensions with their strides; those that follow each other in memory, in both tensors, are one."""
    pending: _Step | None = None
    for step in map(_Step, shape, source, target):
        if step.size == 1:
            continue
        if pending is None:
            pending = step
        elif (pending.source, pending.target) == (step.size * step.source, step.size * step.target):
            pending = step._replace(size=pending.size * step.size)
        else:
            yield pending
            pending = step
    if pending is not None:
        yield pending
