"""A record of what each step was trained on: the place in the data, and a digest of the batch, by which it can be made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neox_core.config import DataSettings, Resolved
from neox_core.errors import UserError
from neox_core.model import Batch

DIRECTORY = "ledger"
"""In the directory of a run."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One step of one rank.

    Args:
        step: counts from 1.
        position: samples that all ranks together had consumed before it.
        sha256: of the rank's micro-batches, hexadecimal; see `BatchDigest`.
    """

    step: int
    position: int
    sha256: str


class BatchDigest:
    """A sha256 of micro-batches, one after the other: of each the name and the bytes of every field, fields in alphabetical order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, batch: Batch) -> None:
        """Go on with a micro-batch, whose fields are in the main memory."""
        for name, field in sorted(batch.items()):
            self._hash.update(name.encode())
            self._hash.update(field.contiguous().numpy().tobytes())

    def __str__(self) -> str:
        return self._hash.hexdigest()


class Ledger:
    """Writes what one rank was trained on, a line a step.

    Args:
        path: the file, which is made when there is something to write; None: nothing is recorded.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._digest = BatchDigest()

    @classmethod
    def of_rank(cls, rank: int, run_dir: Path, resolved: Resolved) -> Ledger:
        """The ledger of a rank, as the settings ask for one. Of ranks that have the same samples the first keeps it."""
        place = resolved.topology.place(rank)
        first = place == (0, place.data, 0, 0)
        keeps = {"none": False, "first": rank == 0, "all": first}[resolved[DataSettings].sample_ledger]
        return cls(ledger_file(run_dir, place.data) if keeps else None)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same micro-batches; what is taken counts for the step that is recorded next."""
        if self._path is None:
            yield from batches
            return
        for batch in batches:
            self._digest.add(batch)
            yield batch

    def record(self, step: int, position: int) -> None:
        """Write what was taken since the step before. Raises `UserError` when the file cannot be written."""
        if self._path is None:
            return
        entry = LedgerEntry(step, position, str(self._digest))
        self._digest = BatchDigest()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(entry)) + "\n")
        except OSError as error:
            raise UserError(
                f"{self._path} cannot be written: {error.strerror}; free space, or set sample_ledger: none"
            ) from error


def ledger_file(run_dir: Path, rank: int) -> Path:
    """Where a data-parallel rank of a run writes."""
    return run_dir / DIRECTORY / f"rank-{rank}.jsonl"


def recorded(run_dir: Path, rank: int, step: int) -> LedgerEntry | None:
    """What a rank recorded of a step; None where it recorded nothing.

    Raises:
        UserError: its ledger cannot be read, or a line of it is damaged.
    """
    path = ledger_file(run_dir, rank)
    try:
        with path.open("rb") as file:
            entries = (_entry(path, number, line) for number, line in enumerate(file, start=1))
            return next((entry for entry in entries if entry.step == step), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _entry(path: Path, number: int, line: bytes) -> LedgerEntry:
    try:
        values: dict[str, Any] = json.loads(line)
        return LedgerEntry(int(values["step"]), int(values["position"]), str(values["sha256"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}:{number}: is no line of a ledger; remove it") from error
