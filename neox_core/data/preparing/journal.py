"""How far an interrupted preparation is, kept beside what it has written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neox_core.data.preparing.feeding import Position
from neox_core.files import write_file


@dataclass(frozen=True, slots=True)
class Counts:
    """What has become of the input.

    Args:
        documents: written, in each of the token files.
        tokens: in the first of the token files.
        empty: documents left out because they have no tokens.
        bad: documents that could not be used.
        text_bytes: about how much text was read.
        learned: labels that are not masked, in all files of labels; None where there are none.
    """

    documents: int = 0
    tokens: int = 0
    empty: int = 0
    bad: int = 0
    text_bytes: int = 0
    learned: int | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """A point from which a preparation can go on.

    Args:
        source: digest of what it is made from.
        position: how much of the input is in the working files.
        counts: what has become of it.
        outputs: states of what is being written.
    """

    source: str
    position: Position
    counts: Counts
    outputs: Mapping[str, Any]


def save_journal(path: Path, journal: Journal) -> None:
    """Replace the journal, durably and in one step. Raises `UserError` when the file system refuses."""
    write_file(path, json.dumps(asdict(journal)) + "\n")


def load_journal(path: Path, source: str) -> Journal | None:
    """The journal of a preparation from `source`; None where there is none that can be used."""
    try:
        kept = json.loads(path.read_bytes())
        journal = Journal(kept["source"], Position(*kept["position"]), Counts(**kept["counts"]), kept["outputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: the work begins again
    return journal if journal.source == source else None
