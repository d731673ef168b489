"""Batches as messages: a line of JSON, and the token ids in it or, as bytes, after it.

Both sides use this module, so both hold groups to the same rules.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.online.groups import Group, MessageError, checked_group
from neox_core.data.online.messages import Request, is_count, line_of

MOST_IDS = 64 * 2**20
"""Token ids that may follow a line."""

ID_BYTES = 4
"""Each is a signed little-endian integer of so many bytes."""


def answer_message(request: Request, groups: Sequence[Group]) -> bytes:
    """A batch: a line with the numbers of ids, and the ids after it.

    Raises:
        MessageError: the groups break a rule that `read_answer` would find broken.
    """
    checked = _checked(groups, request)
    sequences = [np.asarray(ids, dtype="<i4") for group in checked for ids in (group.prefix, *group.completions)]
    count = sum(map(len, sequences))
    if count > MOST_IDS:
        raise MessageError(f"a batch has {count:,} token ids, more than {MOST_IDS:,}: send fewer groups at a time")
    header = {
        "batch": request.batch,
        "groups": [
            {
                "prefix": len(group.prefix),
                "completions": [len(completion) for completion in group.completions],
                "rewards": group.rewards,
            }
            for group in checked
        ],
        "ids": count,
    }
    return line_of(header) + b"".join(sequence.tobytes() for sequence in sequences)


def ids_that_follow(header: dict[str, Any]) -> int:
    """How many ids come after the line of an answer; raises `MessageError` where that is no number or too many."""
    count = header.get("ids", 0)
    if not is_count(count) or count > MOST_IDS:
        raise MessageError(f"'ids' is {reprlib.repr(count)}, not a whole number from 0 to {MOST_IDS:,}")
    return int(count)


def read_answer(header: dict[str, Any], body: bytes, request: Request) -> list[Group]:
    """The groups of an answer, every id and reward checked; `body` is the ids after the line.

    Raises:
        MessageError: the answer is to another request, or a group breaks a rule.
    """
    if (batch := header.get("batch")) != request.batch:
        raise MessageError(f"'batch' is {reprlib.repr(batch)}, and batch {request.batch} was asked for")
    groups = header.get("groups")
    if not isinstance(groups, list):
        raise MessageError(f"'groups' is {reprlib.repr(groups)}, not a list")
    ids = _Ids(np.frombuffer(body, dtype="<i4")) if "ids" in header else None
    found = [_read_group(group, i, ids) for i, group in enumerate(groups)]
    if ids is not None and ids.left:
        raise MessageError(f"{ids.left} of the ids that follow belong to no group")
    return _checked(found, request)


def _read_group(group: Any, number: int, ids: _Ids | None) -> Group:
    if not isinstance(group, dict):
        raise MessageError(f"group {number} is {reprlib.repr(group)}, not an object")
    for name in ("completions", "rewards"):
        if not isinstance(value := group.get(name), list):
            raise MessageError(f"group {number}: '{name}' is {reprlib.repr(value)}, not a list")
    prefix: Any = group.get("prefix")
    completions: list[Any] = group["completions"]
    if ids is not None:
        prefix, completions = ids.take(prefix), [ids.take(length) for length in completions]
    return Group(prefix, completions, group["rewards"])


class _Ids:
    """The ids that follow a line, given out in their order."""

    def __init__(self, ids: npt.NDArray[np.int32]) -> None:
        self._ids = ids
        self._next = 0

    @property
    def left(self) -> int:
        return len(self._ids) - self._next

    def take(self, length: Any) -> npt.NDArray[np.int32]:
        if not is_count(length):
            raise MessageError(f"{reprlib.repr(length)} stands for a number of ids that follow, which it is not")
        if length > self.left:
            raise MessageError(f"the groups have more ids than the {len(self._ids)} that follow")
        self._next += length
        return self._ids[self._next - length : self._next]


def _checked(groups: Sequence[Group], request: Request) -> list[Group]:
    if not groups:
        raise MessageError("there is no group; a batch has at least one")
    checked = []
    for i, group in enumerate(groups):
        try:
            checked.append(checked_group(group, seq_length=request.seq_length, vocab_size=request.vocab_size))
        except MessageError as error:
            raise MessageError(f"group {i}: {error}") from None
    return checked
