"""Lines of JSON in a plain file on this machine's disk, cut into ranges of bytes that begin and end at a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO

from neox_core.data.preparing.blocks import BLOCK_BYTES, Block
from neox_core.data.preparing.readers.reader import unharmed
from neox_core.data.preparing.readers.streams import json_line
from neox_core.data.preparing.records import Record
from neox_core.data.preparing.sources import Meter, Source, open_source


class LineRangeReader:
    """Reads a range of lines; the document's row counts from the beginning of its block."""

    def cut(self, source: Source, number: int) -> list[Block]:
        """Ranges of about `BLOCK_BYTES`, each from the beginning of a line to the beginning of another."""
        starts = [0]
        with open_source(source) as file:
            for nominal in range(BLOCK_BYTES, source.size, BLOCK_BYTES):
                if nominal > starts[-1]:
                    file.seek(nominal - 1)
                    file.readline()
                    starts.append(min(file.tell(), source.size))
        bounds = sorted({*starts, source.size})
        return [Block(number, stop - start, start, stop, None) for start, stop in pairwise(bounds)]

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The lines of the range that are not blank."""
        with open_source(source) as file:
            file.seek(block.start)
            yield from unharmed(source.path, _lines(meter.watch(file), block))


def _lines(file: BinaryIO, block: Block) -> Iterator[Record]:
    position = block.start
    for row, line in enumerate(file):
        if position >= block.stop:
            return
        position += len(line)
        yield from json_line(line, row)


def count_lines(source: Source, start: int, stop: int) -> int:
    """Ends of lines from byte `start` up to byte `stop`."""
    count = 0
    with open_source(source) as file:
        file.seek(start)
        while start < stop:
            piece = file.read(min(1 << 20, stop - start))
            if not piece:
                break
            count += piece.count(b"\n")
            start += len(piece)
    return count
