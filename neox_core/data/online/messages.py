"""What a run and a server of samples say to each other: lines of JSON. docs/online.md describes the protocol."""

from __future__ import annotations

import json
import reprlib
from dataclasses import asdict, dataclass
from typing import Any

from neox_core.data.online.groups import MessageError
from neox_core.errors import shortened

PROTOCOL = "neox-online/1"

MOST_LINE_BYTES = 16 * 2**20
"""Bytes that a line of JSON may have."""

MOST_ERROR = 1000
"""Characters of a server's error that are told."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a data-parallel rank asks for.

    Args:
        split: "train", "valid" or "test".
        rank: of the data-parallel ranks, counted from 0.
        world_size: how many data-parallel ranks there are.
        batch: how many batches of the split this rank had before.
        seq_length: a prefix has at most so many tokens, a prefix and a completion should have at most one more.
        vocab_size: token ids are less than this.
    """

    split: str
    rank: int
    world_size: int
    batch: int
    seq_length: int
    vocab_size: int

    def __str__(self) -> str:
        return f"batch {self.batch} of {self.split} for rank {self.rank}"


def request_message(request: Request) -> bytes:
    """The line that asks for a batch."""
    return line_of(asdict(request))


def error_message(sentence: str) -> bytes:
    """The line that says why there is no batch."""
    return line_of({"error": shortened(sentence, MOST_ERROR)})


def read_request(line: bytes) -> Request:
    """The request that a line is; raises `MessageError` where it is none."""
    message = read_line(line)
    counts: dict[str, Any] = {
        name: message.get(name) for name in ("rank", "world_size", "batch", "seq_length", "vocab_size")
    }
    for name, value in counts.items():
        if not is_count(value):
            raise MessageError(f"'{name}' is {reprlib.repr(value)}, not a whole number from 0")
    if not isinstance(split := message.get("split"), str):
        raise MessageError(f"'split' is {reprlib.repr(split)}, not a text")
    return Request(split, **counts)


def read_line(line: bytes) -> dict[str, Any]:
    """The JSON object of a line; raises `MessageError` where it is none, or of another protocol."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{reprlib.repr(line)} is no JSON object: {reprlib.repr(str(error))}") from None
    if not isinstance(message, dict):
        raise MessageError(f"{reprlib.repr(line)} is no JSON object")
    if (protocol := message.get("protocol")) != PROTOCOL:
        raise MessageError(f"'protocol' is {reprlib.repr(protocol)}, not '{PROTOCOL}'")
    return message


def is_count(value: Any) -> bool:
    """Whether a value out of JSON is a whole number from 0."""
    return type(value) is int and value >= 0


def line_of(message: dict[str, Any]) -> bytes:
    """A message as a line; raises `MessageError` where that is longer than one may be."""
    line = json.dumps({"protocol": PROTOCOL, **message}, separators=(",", ":")).encode() + b"\n"
    if len(line) > MOST_LINE_BYTES:
        raise MessageError(
            f"a line of {len(line):,} bytes is longer than {MOST_LINE_BYTES:,}: send fewer groups at a time"
        )
    return line
