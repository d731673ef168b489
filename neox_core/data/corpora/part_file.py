"""A file while it is being downloaded: `FILE.part`, and `FILE.part.json`, which says what it is the beginning of."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from neox_core.errors import UserError
from neox_core.file_locks import Lock, is_at, try_lock
from neox_core.files import make_directory, publish, write_file

_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a file a server gives: its address, validators of HTTP, and size in bytes, each None if unsaid."""

    address: str
    etag: str | None = None
    last_modified: str | None = None
    bytes: int | None = None

    @property
    def validator(self) -> str | None:
        """What `If-Range` may name: a strong ETag, else the date of the last change (RFC 9110, 13.1.5)."""
        strong = self.etag is not None and not self.etag.startswith("W/")
        return self.etag if strong else self.last_modified


class PartFile:
    """The beginning of `path`, which one process at a time may append to; a context manager.

    Raises:
        UserError: another process has it, or the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f"{path.name}.part")
        self._about = path.with_name(f"{path.name}.part.json")
        try:
            make_directory(path.parent)
            self._stream = self._locked()
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.size == 0 and is_at(os.fstat(self._stream.fileno()), self._part):
            self._about.unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)
        self._stream.close()

    @property
    def part_path(self) -> Path:
        """Where the bytes are until they are published."""
        return self._part

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return os.fstat(self._stream.fileno()).st_size

    @property
    def version(self) -> Version | None:
        """What the bytes are the beginning of, or None where that is not known."""
        try:
            return Version(**json.loads(self._about.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, version: Version) -> None:
        """Throw away what is there; what follows is of this version."""
        self.discard()
        write_file(self._about, json.dumps(asdict(version), indent=2) + "\n")

    def append(self, data: bytes) -> None:
        """Write what follows."""
        rest = memoryview(data)
        try:
            while rest:  # a write to a file that is nearly full may take less than all
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise self._refused(error) from error

    def discard(self) -> None:
        """Throw away what is there."""
        self._about.unlink(missing_ok=True)
        self._stream.truncate(0)

    def publish(self) -> None:
        """Give the file its name, in one step, when all of it is on disk."""
        try:
            os.fsync(self._stream.fileno())
            publish(self._part, self.path)
            self._about.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def _locked(self) -> FileIO:
        """The file, open to append to; nobody else has it."""
        while True:
            stream = self._part.open("ab", buffering=0)
            try:
                lock = try_lock(stream.fileno(), self._part)
            except BaseException:
                stream.close()
                raise
            if lock in (Lock.HELD, Lock.NONE):
                return stream
            stream.close()
            if lock is Lock.TAKEN:
                raise UserError(
                    f"{self.path} is being fetched by another process; wait for it, or end it and try again"
                )

    def _refused(self, error: OSError) -> UserError:
        if error.errno in _FULL:
            return UserError(
                f"{self._part}: the disk is full ({error.strerror}). Free space and run the same command again; it goes on from here."
            )
        return UserError(f"{self._part} cannot be written ({error.strerror}); choose another data directory.")
