"""What readers yield: documents as they lie in the input, with their place there."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from neox_core.errors import shortened

Fields = Mapping[str, Any] | str
"""A decoded document: its values by their keys, or a bare text."""

_SHOWN = 200  # characters of a document that a message repeats


class BadDocument(Exception):
    """A document that cannot be used; says why, for the person who has to mend it."""


class Record(NamedTuple):
    """One document that has not been decoded yet.

    Args:
        raw: its bytes, a table's row, or a value of a JSON array.
        decode: makes its fields of `raw`; raises `BadDocument`.
        row: line or row in its block (in its member, for an archive), counted from 0; None for what is not one of many.
        member: the file within an archive.
    """

    raw: Any
    decode: Callable[[Any], Fields]
    row: int | None = None
    member: str | None = None


def decode_text(raw: bytes) -> str:
    """The text of UTF-8 bytes. Raises `BadDocument` when they are none."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadDocument(f"broken UTF-8 at byte {error.start}: {error.reason}") from error


def decode_json(raw: bytes) -> Fields:
    """The object, or the bare text, of a line of JSON. Raises `BadDocument` for anything else."""
    try:
        value = json.loads(decode_text(raw.removeprefix(codecs.BOM_UTF8)))
    except ValueError as error:
        raise BadDocument(f"invalid JSON: {error}") from error
    except RecursionError as error:
        raise BadDocument("invalid JSON: nested too deeply") from error
    return decode_value(value)


def decode_value(value: Any) -> Fields:
    """A parsed JSON value as a document. Raises `BadDocument` unless it is an object or a text."""
    if isinstance(value, (dict, str)):
        return value
    raise BadDocument(f"a JSON {kind_of(value)}, where an object or a string is expected")


def kind_of(value: Any) -> str:
    """What JSON calls the type of a value."""
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)


def excerpt(record: Record) -> str:
    """The beginning of a document, for a message."""
    raw = record.raw
    if isinstance(raw, bytes):
        return shortened(raw[: 4 * _SHOWN].decode(errors="replace").rstrip(), _SHOWN)
    return shortened(json.dumps(raw, ensure_ascii=False, default=str), _SHOWN)
