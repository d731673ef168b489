"""Downloads one file: asks its addresses in turn, goes on where a connection was lost, and publishes only what was verified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from neox_core.data.corpora.items import RemoteFile, file_digest
from neox_core.data.corpora.part_file import PartFile
from neox_core.data.corpora.records import Record, write_record
from neox_core.data.corpora.retries import Retries
from neox_core.data.corpora.transfer import Interrupted, Refused, transfer
from neox_core.errors import UserError


class Observer(Protocol):
    """Is told how a download goes."""

    def advance(self, name: str, done: int, total: int | None) -> None:
        """So many bytes of the file are there, of so many (None where that is unknown)."""

    def notice(self, text: str) -> None:
        """Something that a user should know happened."""


class Silence:
    """An observer that does nothing."""

    def advance(self, name: str, done: int, total: int | None) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""


class Unavailable(UserError):
    """No address gives what is asked for; the text has every address and its reason."""

    def __init__(self, what: str, reasons: Iterable[tuple[str, Refused | Interrupted]]) -> None:
        lines = [f"  {address}{' ' if isinstance(reason, Refused) else ': '}{reason}" for address, reason in reasons]
        super().__init__("\n".join([f"{what} cannot be fetched:", *lines]))


@dataclass(frozen=True, slots=True)
class Download:
    """A file to download to `path` from any of `addresses`, which all have the same."""

    file: RemoteFile
    path: Path
    addresses: Sequence[str]
    retries: Retries = field(default_factory=Retries)
    observer: Observer = field(default_factory=Silence)

    def run(self) -> Record:
        """Download the file; what an earlier attempt left is used. What is at `path` is replaced at the very end.

        Raises:
            Unavailable: no address gives the file.
            UserError: the disk is full or refuses, or another process downloads the file.
        """
        reasons: list[tuple[str, Refused | Interrupted]] = []
        with PartFile(self.path) as part:
            for address in self.addresses:
                try:
                    return self._from(address, part)
                except (Refused, Interrupted) as reason:
                    reasons.append((address, reason))
        raise Unavailable(self.file.name, reasons)

    def _from(self, address: str, part: PartFile) -> Record:
        resumed = part.size > 0
        self.retries.run(
            lambda: transfer(address, part, self.file, self._advance),
            notice=lambda text: self.observer.notice(f"{self.file.name}: {text}"),
            progress=lambda: part.size,
        )
        mismatch = self._mismatch(part.part_path)
        if mismatch is None:
            return self._publish(address, part)
        part.discard()
        if resumed:  # what was there may have been the wrong beginning
            return self._from(address, part)
        raise Refused(mismatch)

    def _advance(self, done: int, total: int | None) -> None:
        self.observer.advance(self.file.name, done, total if total is not None else self.file.bytes)

    def _mismatch(self, path: Path) -> str | None:
        """What is wrong with a file that was received, or None."""
        size, digest = path.stat().st_size, self.file.digest
        if self.file.bytes not in (None, size):
            return f"gave {size:,} bytes, but the file has {self.file.bytes:,}"
        if digest is not None and not digest.matches(path):
            found = file_digest(path, digest.algorithm)
            return f"gave another file: its {digest.algorithm} is {found}, but must be {digest.digits}"
        return None

    def _publish(self, address: str, part: PartFile) -> Record:
        version, digest = part.version, self.file.digest
        record = Record(
            address=address,
            bytes=part.size,
            sha256=digest.digits if digest and digest.algorithm == "sha256" else file_digest(part.part_path),
            published=str(digest) if digest else None,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            etag=version.etag if version else None,
            last_modified=version.last_modified if version else None,
        )
        write_record(self.path, record)
        part.publish()
        return record
