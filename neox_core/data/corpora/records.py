"""What is known of a file that was fetched: `FILE.json` beside it, and whether the file is still so."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from neox_core.data.corpora.items import RemoteFile, file_digest
from neox_core.files import write_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was fetched.

    Args:
        address: where from, or None for a file that was there already.
        bytes: its size.
        sha256: its digest, in hexadecimal.
        published: the published digest that it was held against, or None where there is none.
        date: when, in UTC (ISO 8601).
        etag: what the server called this version.
        last_modified: when the server says it changed last.
    """

    address: str | None
    bytes: int
    sha256: str
    published: str | None
    date: str
    etag: str | None = None
    last_modified: str | None = None


class State(StrEnum):
    """What there is of a file."""

    WHOLE = "whole"  # as it was recorded, or as its published digest says
    UNKNOWN = "unknown"  # there, but neither digest nor record says what it must be
    PART = "part"
    DAMAGED = "damaged"
    MISSING = "missing"


def record_path(path: Path) -> Path:
    """Where the record of a file is."""
    return path.with_name(f"{path.name}.json")


def write_record(path: Path, record: Record) -> None:
    """Write the record of a file, in one step."""
    write_file(record_path(path), json.dumps(asdict(record), indent=2) + "\n")


def read_record(path: Path) -> Record | None:
    """The record of a file, or None where there is none that can be read."""
    try:
        return Record(**json.loads(record_path(path).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def quick_state(path: Path, file: RemoteFile) -> State:
    """What there is of a file, by its record and sizes alone; a file without a record is hashed."""
    record = read_record(path)
    if not path.is_file() or record is None:
        return full_state(path, file)
    published = None if file.digest is None else str(file.digest)
    if path.stat().st_size != record.bytes or file.bytes not in (None, record.bytes):
        return State.DAMAGED
    return State.WHOLE if record.published == published else full_state(path, file)


def full_state(path: Path, file: RemoteFile) -> State:
    """What there is of a file, by its content."""
    if not path.is_file():
        return State.PART if path.with_name(f"{path.name}.part").is_file() else State.MISSING
    if file.bytes not in (None, path.stat().st_size):
        return State.DAMAGED
    if file.digest is not None:
        return State.WHOLE if file.digest.matches(path) else State.DAMAGED
    record = read_record(path)
    if record is None:
        return State.UNKNOWN
    return State.WHOLE if file_digest(path) == record.sha256 else State.DAMAGED
