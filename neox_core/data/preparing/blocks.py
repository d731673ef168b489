"""The pieces that inputs are cut into: a run is its blocks in order, a shard of it is a range of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from neox_core.errors import UserError

BLOCK_BYTES = 8 << 20
"""About how long the pieces of a plain file of lines are. Another length changes where shards begin."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of one file.

    Args:
        source: which of the inputs it is of, counted from 0.
        size: bytes of the file that it stands for.
        start: where it begins: a byte, a row group, a record batch, as its reader has it.
        stop: where it ends, exclusive.
        first_row: rows of the file before it; None where they have to be counted.
    """

    source: int
    size: int
    start: int = 0
    stop: int = 1
    first_row: int | None = 0


def shard_of(blocks: Sequence[Block], number: int, count: int) -> range:
    """The blocks of shard `number` of `count`, counted from 1: a contiguous range of about equally many bytes, never empty.

    The shards of all numbers, in order, are all blocks. Raises `UserError` when there are more shards than blocks.
    """
    if count > len(blocks):
        raise UserError(
            f"--shard {number}/{count}: the input can be cut into {len(blocks)} blocks only (a file of JSON lines into pieces of "
            f"{BLOCK_BYTES >> 20} MiB, a compressed file not at all); use at most {len(blocks)} shards, or cut the files."
        )
    ends = list(accumulate(block.size for block in blocks))
    bounds = [0]
    for shard in range(1, count):
        nearest = bisect_left(ends, ends[-1] * shard / count) + 1
        bounds.append(min(max(nearest, bounds[-1] + 1), len(blocks) - (count - shard)))
    bounds.append(len(blocks))
    return range(bounds[number - 1], bounds[number])
