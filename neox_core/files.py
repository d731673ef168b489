"""Files that appear whole or not at all, and the size and digest by which they are known again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from neox_core.errors import UserError


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file must be to be the one that was written: its size in bytes and its sha256 (hexadecimal)."""

    size: int
    sha256: str


LARGE = 2**20
"""Bytes from which on it is worth while to hash what is written by another thread."""


class HashingFile:
    """A binary file that is hashed while it is written, what is large in a thread of its own: neither waits for the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._size = 0
        self._hasher: ThreadPoolExecutor | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`, which may be changed when this returns."""
        if len(data) < LARGE:
            self._hash.update(data)
            self._stream.write(data)
        else:
            self._hasher = self._hasher or ThreadPoolExecutor(1, "sha256")
            hashed = self._hasher.submit(self._hash.update, data)
            try:
                self._stream.write(data)
            finally:
                hashed.result()
        self._size += len(data)

    def close(self) -> None:
        """End the thread; the file is somebody else's."""
        if self._hasher is not None:
            self._hasher.shutdown()

    @property
    def record(self) -> FileRecord:
        """Size and digest of what has been written so far."""
        return FileRecord(self._size, self._hash.hexdigest())


def temporary_name(path: Path) -> Path:
    """A name beside `path` for what is not finished, which no other process uses."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left unfinished beside `path`; only for whoever alone writes it."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Give a finished, already synced file its name, replacing what was there, and make the new name durable."""
    temporary.replace(path)
    sync_directory(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[HashingFile]:
    """A file to write in the block, which takes the place of `path` when the block ends without an error.

    Until then `path` is what it was; afterwards its content and its name are on disk. Missing directories are made.

    Raises:
        UserError: the file system refuses (full, read-only, no permission); `path` is what it was.
    """
    temporary = temporary_name(path)
    try:
        make_directory(path.parent)
        with temporary.open("wb") as stream:
            with closing(HashingFile(stream)) as file:
                yield file
            stream.flush()
            os.fsync(stream.fileno())
        publish(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # whatever led here is the error to report
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> UserError:
    """What is said where the file system refuses a file or a directory."""
    return UserError(
        f"{path} cannot be written: {error}. Free space or mend the permissions there, or choose another directory."
    )


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A new directory to fill in the block, which is `path` when the block ends without an error; else nothing of it is left.

    Raises:
        UserError: there is something at `path` already, if only a file, or a directory that is not empty; or the file system refuses.
    """
    require_room_for(path)
    temporary = temporary_name(path)
    try:
        make_directory(path.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        for place, _, _ in os.walk(temporary):
            sync_directory(Path(place))
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_room_for(path: Path) -> None:
    """See that nothing is at `path`, or an empty directory.

    Raises:
        UserError: something is.
    """
    if path.is_symlink() or path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UserError(f"{path} is there already, and is not an empty directory; remove it or choose another name")


def write_file(path: Path, content: bytes | str) -> FileRecord:
    """Replace `path` by `content` (text as UTF-8), durably and in one step; raises UserError as `replacing` does."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return file.record


def write_new(path: Path, content: bytes | str) -> None:
    """Write a file that is not there yet, as `write_file` does.

    Raises:
        UserError: it is there, or the file system refuses.
    """
    if path.exists():
        raise UserError(f"{path} exists; remove it or choose another name")
    write_file(path, content)


def make_directory(path: Path) -> None:
    """Make `path` and its missing parents, durably. Several processes may do so at once."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def missing_directories(path: Path) -> list[Path]:
    """What `make_directory` would make, the innermost first."""
    return [place for place in (path, *path.parents) if not place.exists()]


def remove_empty(directories: Iterable[Path]) -> None:
    """Remove directories that were made for something that failed, as far as nothing is in them."""
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()


def sync_directory(path: Path) -> None:
    """Wait until the names in directory `path` are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
