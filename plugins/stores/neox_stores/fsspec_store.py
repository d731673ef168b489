"""Any file system that fsspec knows as a store: Google's, Azure's, other machines', or a directory.

What was sent is read back, since there is no checksum that all of them keep.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from neox_core.checkpoint.remote import Given, SourceFile, Stored, StoreError, StoreOptions, below, checked
from neox_core.errors import UserError
from neox_core.files import make_directory, sync_directory
from neox_stores.s3_errors import without_secrets

BLOCK = 4 << 20
"""Bytes that are read or written at once."""

WHOLE_OR_ABSENT = frozenset({"gs", "gcs", "az", "abfs", "abfss", "oss", "oci"})
"""Protocols by which an object is there when all of it is; of any other a file is written under another name first."""

HERE = frozenset({"file", "local"})
"""Protocols of directories, in which a file is there for good when it and its name are on the disk."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk says that has no room."""

UNFINISHED = ".unfinished"
"""What is added to that name."""


def build(url: str, options: StoreOptions) -> FsspecStore:
    """The store of any URL; nothing is sent yet.

    Raises:
        StoreError: nothing knows what the URL begins with, or the package that does is missing.
    """
    store = FsspecStore(url, options)
    store.require_package()
    return store


class FsspecStore:
    """A directory of a file system of fsspec as a `neox_core.checkpoint.remote.store.Store`."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        self.url, self._options = checked(url), options

    def require_package(self) -> None:
        """Raise a StoreError unless there is what knows the URL's scheme."""
        scheme = self.url.partition("://")[0]
        try:
            import fsspec

            fsspec.get_filesystem_class(scheme)
        except ImportError as error:
            raise StoreError(
                f"{self.url} needs a package that is missing ({_brief(error)}): pip install 'neox-toolkit[remote]', or that package",
                lasting=True,
            ) from error
        except ValueError as error:
            raise StoreError(
                f"{self.url}: fsspec knows no {scheme}://; write s3://, gs://, az://, file:// or another that it knows",
                lasting=True,
            ) from error

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        try:
            system, root = fsspec.core.url_to_fs(self.url)
        except Exception as error:
            raise StoreError(
                f"{self.url}: cannot be used ({_brief(error)}); mend the URL or its credentials"
            ) from error
        return system, str(root).rstrip("/")

    @contextmanager
    def _spoken(self, name: str, doing: str) -> Iterator[tuple[Any, str]]:
        """The file system and a path in it; whatever goes wrong in the block is a sentence about the URL."""
        system, root = self._opened
        self._require_place(system, Path(root).parent)
        try:
            yield system, f"{root}/{name}" if name else root
        except (UserError, Given):
            raise
        except Exception as error:
            url = below(self.url, name) if name else self.url
            lasting = isinstance(error, PermissionError | NotADirectoryError | NotImplementedError)
            raise StoreError(
                f"{url}: the store failed to {doing} ({_brief(error)}); {self._remedy(error)}", lasting=lasting
            ) from error

    def _require_place(self, system: Any, above: Path) -> None:
        """Raise a StoreError where the URL lies in a directory that is not there: a disk that is not mounted has no checkpoints, but
        is not a store without any, and what is copied beneath its mount point is hidden as soon as it is mounted."""
        if not HERE.isdisjoint(_protocols(system)) and not above.exists():
            raise StoreError(f"{self.url}: there is no directory {above}; mount the disk that has it, or make it")

    def _remedy(self, error: Exception) -> str:
        """What to do where the store fails."""
        if isinstance(error, OSError) and error.errno in FULL:
            return "the disk there, or what you may use of it, is full: free space, or choose another place"
        if self.url.partition("://")[0] in HERE:
            return "see to the disk, and to the permissions there"
        return "see to the network, and to the credentials and rights there"

    def folders(self, within: str = "") -> list[str]:
        """First parts of names that have several."""
        with self._spoken(within, "list what is there") as (system, path):
            system.invalidate_cache()
            if not system.exists(path):
                return []
            entries = system.ls(path, detail=True)
            return sorted(PurePosixPath(each["name"]).name for each in entries if each["type"] == "directory")

    def list(self, folder: str) -> Iterator[Stored]:
        """The objects in a folder."""
        with self._spoken(folder, "list what is there") as (system, path):
            system.invalidate_cache()
            found = system.find(path, detail=True) if system.exists(path) else {}
            prefix = path.removesuffix(folder)
            entries = [Stored(str(each["name"]).removeprefix(prefix), int(each["size"])) for each in found.values()]
        yield from (entry for entry in entries if not entry.name.endswith(UNFINISHED))

    def stat(self, name: str) -> Stored | None:
        """What is known of one object."""
        with self._spoken(name, "read") as (system, path):
            system.invalidate_cache()
            try:
                facts = system.info(path)
            except FileNotFoundError:
                return None
            return Stored(name, int(facts["size"])) if facts["type"] == "file" else None

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of an object."""
        while start < stop:
            with self._spoken(name, "read") as (system, path):
                block = bytes(system.cat_file(path, start=start, end=min(start + BLOCK, stop)))
            if not block:
                raise StoreError(f"{below(self.url, name)}: ends at {start} bytes, before it should")
            start += len(block)
            yield block

    def write(self, name: str, content: bytes) -> None:
        """Make a small object."""
        self._write(name, iter([content]))

    def upload(self, name: str, source: SourceFile, stopped: Callable[[], bool]) -> int:
        """Make an object of a file."""
        there = self.stat(name)
        if there is not None and there.size == source.size and self._digest(name, source.size) == source.record.sha256:
            return 0
        digest = hashlib.sha256()

        def blocks() -> Iterator[bytes]:
            for block in source.blocks(0, source.size):
                if stopped():
                    raise Given
                digest.update(block)
                yield block
            source.check(digest.hexdigest())

        self._write(name, blocks())
        if self._digest(name, source.size) != source.record.sha256:
            self.delete(name)
            raise StoreError(
                f"{below(self.url, name)}: what the store keeps is not what was sent; it was removed there"
            )
        return source.size

    def delete(self, name: str) -> None:
        """Remove an object."""
        with self._spoken(name, "delete") as (system, path):
            if system.exists(path):
                system.rm_file(path)
            folder = str(PurePosixPath(path).parent)
            with suppress(OSError):  # another thread may have removed it
                if not self._is_whole_or_absent(system) and not system.ls(folder):
                    system.rmdir(folder)

    def forget_uploads(self, folder: str) -> None:
        """Remove files that were not finished."""
        with self._spoken(folder, "delete") as (system, path):
            for name in system.find(path) if system.exists(path) else ():
                if name.endswith(UNFINISHED):
                    system.rm_file(name)

    def _write(self, name: str, blocks: Iterator[bytes]) -> None:
        with self._spoken(name, "write") as (system, path):
            direct = self._is_whole_or_absent(system)
            target = path if direct else path + UNFINISHED
            here = not HERE.isdisjoint(_protocols(system))
            if here:
                make_directory(Path(path).parent)
            elif not direct:
                system.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            stream = system.open(target, "wb", block_size=max(self._options.part_size, 5 << 20))
            try:
                for block in blocks:
                    stream.write(block)
                if here:
                    stream.flush()
                    os.fsync(stream.fileno())
            except BaseException:
                _discard(stream, direct)
                if here:
                    Path(target).unlink(missing_ok=True)  # it is begun anew, and a full disk needs its room
                raise
            stream.close()
            if not direct:
                system.mv(target, path)
            if here:
                sync_directory(Path(path).parent)

    def _digest(self, name: str, size: int) -> str:
        digest = hashlib.sha256()
        for block in self.read(name, 0, size):
            digest.update(block)
        return digest.hexdigest()

    @staticmethod
    def _is_whole_or_absent(system: Any) -> bool:
        return not WHOLE_OR_ABSENT.isdisjoint(_protocols(system))


def _protocols(system: Any) -> tuple[str, ...]:
    """What URLs of a file system begin with."""
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _discard(stream: Any, direct: bool) -> None:
    """Let go of a stream without making an object of what was written to it."""
    if not direct:
        # A full disk refuses the rest of what was written, too; what led here is the error to report.
        with suppress(Exception):
            stream.close()
        return
    stream.closed = True  # else collecting it as garbage would finish the upload
    with suppress(Exception):  # what led here is the error to report
        stream.discard()


def _brief(error: Exception) -> str:
    return without_secrets(str(error))[:300] or type(error).__name__
