"""One file from a store: ranges of it at once, none of them twice though it is interrupted, and held against its digest at the end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neox_core.checkpoint.remote.parallel import in_parallel
from neox_core.checkpoint.remote.store import Store, StoreError
from neox_core.checkpoint.remote.urls import below
from neox_core.files import FileRecord, make_directory, publish, unwritable

RANGE = 32 << 20
"""Bytes that are asked for at once."""

ATTEMPTS = 4
"""How often bytes are asked for that a store fails to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One object on its way to a file.

    Args:
        store: where it is.
        name: the object.
        path: the file, which appears whole or not at all. What is there as `PATH.part`, of an earlier attempt, is gone on with.
        record: what it must be.
        threads: ranges that are read at once.
        tell: told of bytes as they come, by any thread.
    """

    store: Store
    name: str
    path: Path
    record: FileRecord
    threads: int
    tell: Callable[[int], None]

    def run(self) -> None:
        """Make the file.

        Raises:
            StoreError: the store fails, or has twice sent something else than was written.
            UserError: the file system refuses.
        """
        for _ in range(2):
            with _writing(self.path):
                make_directory(self.path.parent)
                self._fetch()
                if self._finish():
                    return
        raise StoreError(
            f"{self.url} is damaged, there or on its way: its sha256 is twice not what was written; take another checkpoint, or "
            "see to the network",
            lasting=True,
        )

    @property
    def url(self) -> str:
        """Of the object."""
        return below(self.store.url, self.name)

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    def _finish(self) -> bool:
        """Give the file its name if it is what was written, else begin again; which of the two."""
        with self._part.open("rb") as stream:
            sound = hashlib.file_digest(stream, "sha256").hexdigest() == self.record.sha256
            os.fsync(stream.fileno())
        if sound:
            publish(self._part, self.path)
        else:
            self._part.unlink()
        _journal(self._part).unlink(missing_ok=True)
        return sound

    def _fetch(self) -> None:
        """Fill the file with what it lacks; a byte of its journal is set for each range that it has."""
        count = -(-self.record.size // RANGE)
        _begin(self._part, self.record, count)
        with self._part.open("r+b") as data, _journal(self._part).open("r+b") as journal:
            done = journal.read()[_HEADER:]

            def fetch(number: int) -> None:
                start = number * RANGE
                self._range(start, min(start + RANGE, self.record.size), data.fileno())
                os.pwrite(journal.fileno(), b"\1", _HEADER + number)

            in_parallel(fetch, (number for number in range(count) if not done[number]), self.threads)

    def _range(self, start: int, stop: int, descriptor: int) -> None:
        """Bytes of the object into the same place of a file."""
        for block in steadily(self.store, self.name, start, stop):
            os.pwrite(descriptor, block, start)
            start += len(block)
            self.tell(len(block))


def steadily(store: Store, name: str, start: int, stop: int) -> Iterator[bytes]:
    """Bytes of an object; where the store fails it is asked for what is still missing.

    Raises:
        StoreError: it fails again and again, or has less, or sends more.
    """
    failed, url = 0, below(store.url, name)
    while start < stop:
        before = start
        try:
            for block in _no_more(store.read(name, start, stop), stop - start, url):
                start += len(block)
                yield block
            if start == before:
                raise StoreError(f"{url}: ends at {start} bytes, before it should")
        except StoreError as error:
            failed = 1 if start > before else failed + 1
            if error.lasting or failed == ATTEMPTS:
                raise


def _no_more(blocks: Iterator[bytes], size: int, url: str) -> Iterator[bytes]:
    """Blocks, of which there must not be more bytes than were asked for."""
    for block in blocks:
        size -= len(block)
        if size < 0:
            raise StoreError(
                f"{url}: the store sends more than it was asked for; it does not heed ranges", lasting=True
            )
        yield block


_HEADER = 80
"""Bytes at the beginning of a journal: of what file, in ranges of what size."""


def _begin(part: Path, record: FileRecord, count: int) -> None:
    """Make room for a file and its journal, unless both are there from an earlier attempt at the same content."""
    journal, header = _journal(part), f"{record.sha256} {RANGE}".ljust(_HEADER).encode()
    if part.exists() and journal.exists() and part.stat().st_size == record.size:
        content = journal.read_bytes()
        if content[:_HEADER] == header and len(content) == _HEADER + count:
            return
    with part.open("wb") as data:
        data.truncate(record.size)
    journal.write_bytes(header + bytes(count))


def _journal(part: Path) -> Path:
    return part.with_name(f"{part.name}.ranges")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error
