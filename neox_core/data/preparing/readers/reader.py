"""What a reader of files is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.compression import DAMAGE
from neox_core.data.preparing.records import Record
from neox_core.data.preparing.sources import Meter, Source
from neox_core.errors import UserError


class Reader(Protocol):
    """Cuts a file into blocks and reads them, one document at a time, in memory that does not depend on the file's size."""

    def cut(self, source: Source, number: int) -> list[Block]:
        """The blocks of a file, which is the input of this number. Raises `UserError` for a file that cannot be read."""

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The documents of a block in order, of which the values of `keys` will be used. Raises `UserError` for a damaged file."""


def whole(source: Source, number: int) -> list[Block]:
    """A file as a single block."""
    return [Block(number, source.size)]


def unharmed(path: str, records: Iterator[Record], damage: tuple[type[Exception], ...] = DAMAGE) -> Iterator[Record]:
    """The records; where the file is damaged or cut off, a `UserError` that says how far it could be read."""
    documents = 0
    try:
        for record in records:
            documents += 1
            yield record
    except damage as error:
        raise UserError(
            f"{path} is damaged or cut off after {documents} documents that could be read: {error}. Get the file again, or leave it "
            "out."
        ) from error
