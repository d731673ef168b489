"""Archives: their members in the archive's order, each read by its suffix; a member of another suffix is one text."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, BinaryIO, Self, cast

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.compression import DAMAGE
from neox_core.data.preparing.readers.reader import unharmed, whole
from neox_core.data.preparing.readers.streams import COMPRESSIONS, STREAMS, decompressed
from neox_core.data.preparing.records import Record
from neox_core.data.preparing.sources import Meter, Source, open_source

_READ = 1 << 16  # bytes
_ZIP_DAMAGE = (*DAMAGE, zipfile.BadZipFile, RuntimeError)  # a password or a method that is unknown is a RuntimeError
_TAR_DAMAGE = (*DAMAGE, tarfile.TarError)
_MEMBERS = {f"{kind}{packed}": (kind, packed) for kind in STREAMS for packed in COMPRESSIONS}


@dataclass(frozen=True, slots=True)
class ZipReader:
    """Reads a zip archive; a single block."""

    def cut(self, source: Source, number: int) -> list[Block]:
        """The whole archive."""
        return whole(source, number)

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The documents of every member."""
        with meter.watch(open_source(source)) as file:
            yield from unharmed(source.path, _zip_records(file), _ZIP_DAMAGE)


@dataclass(frozen=True, slots=True)
class TarReader:
    """Reads a tar archive, compressed as `packed` says, from beginning to end; a single block."""

    packed: str

    def cut(self, source: Source, number: int) -> list[Block]:
        """The whole archive."""
        return whole(source, number)

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The documents of every member that is a file."""
        with meter.watch(open_source(source)) as file:
            yield from unharmed(source.path, _tar_records(decompressed(file, self.packed)), _TAR_DAMAGE)


def _zip_records(file: BinaryIO) -> Iterator[Record]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as stream:
                    yield from _member_records(member.filename, stream)


class _Member(tarfile.TarInfo):
    """A member of a tar archive, which ends at its mark of the end alone.

    `tarfile` also takes a damaged header, or one that the archive is cut off at, for the end.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """The next member. Raises `ReadError` where there is neither a member nor the end."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # typeshed lacks it
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, where a member or the end is expected") from error


def _tar_records(stream: IO[bytes]) -> Iterator[Record]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield from _member_records(member.name, content)
    while stream.read(_READ):  # a compressed stream tells only at its end that it is whole
        pass


def _member_records(name: str, stream: IO[bytes]) -> Iterator[Record]:
    suffix = max((suffix for suffix in _MEMBERS if name.casefold().endswith(suffix)), key=len, default=".txt")
    kind, packed = _MEMBERS[suffix]
    for record in STREAMS[kind](decompressed(cast(BinaryIO, stream), packed)):
        yield record._replace(member=name)
