"""Readers of files of text: a table from the end of a file's name to what reads it."""

from __future__ import annotations

from neox_core.data.preparing.readers.archives import TarReader, ZipReader
from neox_core.data.preparing.readers.ranges import LineRangeReader
from neox_core.data.preparing.readers.reader import Reader
from neox_core.data.preparing.readers.streams import COMPRESSIONS, STREAMS, StreamReader
from neox_core.data.preparing.readers.tables import ArrowReader, ParquetReader
from neox_core.data.preparing.sources import STANDARD_INPUT, is_remote
from neox_core.errors import UserError

_LINES = (".jsonl", ".ndjson", ".jsonlines")

READERS: dict[str, Reader] = {
    **{f"{kind}{packed}": StreamReader(kind, packed) for kind in STREAMS for packed in COMPRESSIONS},
    **{f".tar{packed}": TarReader(packed) for packed in COMPRESSIONS},
    ".tgz": TarReader(".gz"),
    ".zip": ZipReader(),
    ".parquet": ParquetReader(),
    ".arrow": ArrowReader(),
}
"""By suffix. Lines of JSON on this machine's disk are cut into ranges besides."""


def reader_of(path: str) -> Reader:
    """What reads a file of this name. Raises `UserError` when its suffix says nothing."""
    if path == STANDARD_INPUT:
        return StreamReader(".jsonl", "")
    suffix = known_suffix(path)
    if suffix is None:
        raise UserError(
            f"{path}: its name does not say what it is; name it by what it holds: {', '.join(sorted(READERS))}."
        )
    if suffix in _LINES and not is_remote(path):
        return LineRangeReader()
    return READERS[suffix]


def known_suffix(path: str) -> str | None:
    """The longest suffix of a file's name that a reader has, in lower case; None for other files."""
    name = path.casefold()
    return max((suffix for suffix in READERS if name.endswith(suffix)), key=len, default=None)
