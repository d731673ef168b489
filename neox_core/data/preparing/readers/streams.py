"""Formats that are read from beginning to end, compressed or not: lines of JSON, one JSON array, one text, length-prefixed texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, BinaryIO

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.compression import DECOMPRESSORS
from neox_core.data.preparing.readers.reader import unharmed, whole
from neox_core.data.preparing.records import Record, decode_json, decode_text, decode_value
from neox_core.data.preparing.sources import Meter, Source, open_source

_LENGTH = 16  # digits before each text of a .dat file


def json_line(line: bytes, row: int) -> Iterator[Record]:
    """The document of a line, or none when it is blank."""
    if not line.isspace():
        yield Record(line, decode_json, row)


def _lines(stream: Iterable[bytes]) -> Iterator[Record]:
    for row, line in enumerate(stream):
        yield from json_line(line, row)


def _json(stream: IO[bytes]) -> Iterator[Record]:
    """Lines of JSON, or a file that is one array of documents, which is read as a whole."""
    head: list[bytes] = []
    while not head or head[-1].isspace():
        head.append(stream.readline())
    if not head[-1].lstrip().startswith(b"["):
        yield from _lines(line for line in chain(head, stream) if line)
        return
    try:
        values = json.loads(b"".join(head) + stream.read())
    except ValueError as error:
        raise EOFError(f"its JSON array cannot be read ({error})") from error
    for row, value in enumerate(values):
        yield Record(value, decode_value, row)


def _text(stream: IO[bytes]) -> Iterator[Record]:
    yield Record(stream.read(), decode_text)


def _dat(stream: IO[bytes]) -> Iterator[Record]:
    """Texts that each follow their length in bytes as 16 digits, as the lm_dataformat package wrote them."""
    row = 0
    while prefix := stream.read(_LENGTH):
        if len(prefix) < _LENGTH or not prefix.isdigit():
            raise EOFError(f"document {row + 1} does not begin with its length in {_LENGTH} digits")
        raw = stream.read(int(prefix))
        if len(raw) < int(prefix):
            raise EOFError(f"document {row + 1} has {len(raw)} of its {int(prefix)} bytes")
        yield Record(raw, decode_text, row)
        row += 1


STREAMS: dict[str, Callable[[IO[bytes]], Iterator[Record]]] = {
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".jsonlines": _lines,
    ".json": _json,
    ".txt": _text,
    ".dat": _dat,
}
"""The documents of a decompressed stream, by suffix."""

COMPRESSIONS = ("", *DECOMPRESSORS)


def decompressed(file: BinaryIO, suffix: str) -> IO[bytes]:
    """The content of a file that is compressed as its suffix says ("" for not at all)."""
    return DECOMPRESSORS[suffix](file) if suffix else file


@dataclass(frozen=True, slots=True)
class StreamReader:
    """Reads one file of the format `kind`, compressed as `packed` says; a single block."""

    kind: str
    packed: str

    def cut(self, source: Source, number: int) -> list[Block]:
        """The whole file."""
        return whole(source, number)

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The documents of the file."""
        with meter.watch(open_source(source)) as file:
            yield from unharmed(source.path, STREAMS[self.kind](decompressed(file, self.packed)))
