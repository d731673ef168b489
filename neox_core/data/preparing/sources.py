"""Files of text: on this machine, at an address, or standard input."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from neox_core.errors import UserError

STANDARD_INPUT = "-"
_BUFFER = 1 << 18  # bytes


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when the preparation began.

    Args:
        path: an absolute path, an address (`s3://...`), or "-" for standard input.
        size: bytes; 0 for standard input.
        modified: what changes with the content (nanoseconds, an ETag); None where there is no such thing.
    """

    path: str
    size: int
    modified: str | None


class Meter:
    """How far the file that is being read has been read, in its own (compressed) bytes."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._start = 0

    def watch(self, file: BinaryIO) -> BinaryIO:
        """The file itself, which the meter follows from where it is."""
        self._file, self._start = file, file.tell() if file.seekable() else 0
        return file

    def distance(self) -> int:
        """Bytes from where it was watched first; 0 where that is unknown."""
        return (
            0
            if self._file is None or self._file.closed or not self._file.seekable()
            else self._file.tell() - self._start
        )


def is_remote(path: str) -> bool:
    """Whether a path is an address."""
    return "://" in path


def find_source(path: str) -> Source:
    """The file of this path or address. Raises `UserError` when it cannot be looked at."""
    if path == STANDARD_INPUT:
        return Source(path, 0, None)
    if is_remote(path):
        return _remote_source(path)
    try:
        absolute = Path(os.path.abspath(path))  # noqa: PTH100  a link keeps its own name, whose suffix counts
        status = absolute.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    return Source(str(absolute), status.st_size, str(status.st_mtime_ns))


def require_unchanged(source: Source) -> None:
    """Raises `UserError` when a file is not what it was when the preparation began."""
    if find_source(source.path) != source:
        raise UserError(
            f"{source.path} has changed while it was read; wait until nobody writes it, and give the command again."
        )


def open_source(source: Source) -> BinaryIO:
    """The bytes of a source, seekable except for standard input. Raises `UserError` when it cannot be opened."""
    if source.path == STANDARD_INPUT:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        if is_remote(source.path):
            file_system, path = remote(source.path)
            return cast(BinaryIO, file_system.open(path, "rb"))
        return Path(source.path).open("rb", buffering=_BUFFER)
    except OSError as error:
        raise UserError(f"{source.path} cannot be opened ({error}); check path and permissions.") from error


def remote(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it. Raises `UserError` where a package is missing or the kind is unknown."""
    try:
        import fsspec

        file_system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise UserError(
            f"{address} needs a package that is missing ({error}): pip install 'neox-toolkit[remote]'"
        ) from error
    except ValueError as error:
        raise UserError(f"{address} is no address that can be read ({error}).") from error
    return file_system, str(path)


def _remote_source(address: str) -> Source:
    file_system, path = remote(address)
    try:
        facts = file_system.info(path)
    except OSError as error:
        raise UserError(f"{address} cannot be read ({error}); check address and permissions.") from error
    marks = (facts.get(key) for key in ("ETag", "etag", "LastModified", "mtime", "created"))
    modified = next((str(mark) for mark in marks if mark is not None), None)
    return Source(address, int(facts.get("size") or 0), modified)
