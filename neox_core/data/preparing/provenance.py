"""What prepared files were made from, and whether what is there already was made from the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from neox_core.data.preparing.blocks import BLOCK_BYTES
from neox_core.data.preparing.inputs import Inputs
from neox_core.data.preparing.journal import Counts
from neox_core.data.preparing.outputs import Names
from neox_core.errors import UserError
from neox_core.files import write_file

FORMAT = 1
"""Counted up whenever the same inputs and options would give other files."""

_DIFFERENCES = {"inputs": "other inputs", "options": "other options", "tokenizer": "another tokenizer"}


def source_of(inputs: Inputs, options: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """All that the result depends on, as JSON holds it."""
    return {
        "format": FORMAT,
        "block_bytes": BLOCK_BYTES,
        "inputs": [asdict(source) for source in inputs.sources],
        "options": dict(options),
        "tokenizer": dict(tokenizer),
    }


def digest_of(source: Mapping[str, Any]) -> str:
    """A sha256 (hexadecimal) of a source."""
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()


def write_record(names: Names, source: Mapping[str, Any], counts: Counts) -> None:
    """Write the record, which declares the files complete."""
    sizes = {path.name: path.stat().st_size for path in names.token_files}
    record = {"source": source, "counts": asdict(counts), "outputs": sizes}
    write_file(names.record, json.dumps(record, indent=2) + "\n")


def can_be_compared(inputs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether inputs show that they have changed, which standard input does not."""
    return all(given["modified"] is not None for given in inputs)


def finished_counts(names: Names, source: Mapping[str, Any]) -> Counts | None:
    """What was prepared from the same source, if it is still as it was written; None where nothing is in the way.

    Raises `UserError` when there are files that were made from something else, or nobody says from what.
    """
    present = [path for path in names.token_files if path.exists()]
    record = _record(names)
    if record is not None and record["source"] == source and _sizes(names) == record["outputs"]:
        if not can_be_compared(source["inputs"]):
            raise _in_the_way(names, "what came by standard input")
        return Counts(**record["counts"])
    if present:
        raise _in_the_way(names, "other files" if record is None else _difference(record["source"], source))
    return None


def _in_the_way(names: Names, what: str) -> UserError:
    return UserError(
        f"{names.tokens(names.columns[0])}.bin: there are token files of this name already, made from {what}; choose another "
        "--output-prefix, or replace them with --force."
    )


def _difference(earlier: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    differences = (text for key, text in _DIFFERENCES.items() if earlier.get(key) != source[key])
    return " and ".join(differences) or "the same by another version, or changed since"


def _record(names: Names) -> dict[str, Any] | None:
    try:
        record = json.loads(names.record.read_bytes())
        Counts(**record["counts"])
        return {key: record[key] for key in ("source", "counts", "outputs")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(names: Names) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in names.token_files if path.exists()}
