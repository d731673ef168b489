"""What conversations and rewards have to be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from neox_core.data.preparing.forms.form import Tokens
from neox_core.data.preparing.records import BadDocument, kind_of


def require_turns(key: str, turns: Any) -> None:
    """Raise `BadDocument` unless the value of `key` is a conversation: objects with a role, and content or calls of tools."""
    if not isinstance(turns, list) or not turns:
        what = "an empty list" if turns == [] else f"of kind {kind_of(turns)}"
        raise BadDocument(f"'{key}' is {what}, where a list of turns is expected")
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict):
            raise BadDocument(f"turn {number} of '{key}' is of kind {kind_of(turn)}, where an object is expected")
        if not isinstance(turn.get("role"), str):
            raise BadDocument(f"turn {number} of '{key}' has no 'role' that is a string")
        if turn.get("content") is None and not turn.get("tool_calls"):  # which templates would write as nothing
            raise BadDocument(f"turn {number} of '{key}' has neither 'content' nor 'tool_calls'")


def differing_turn(turns: Sequence[Tokens]) -> BadDocument | None:
    """What is wrong with the tokens up to each turn, if any are not the beginning of the next."""
    for number, (shorter, longer) in enumerate(itertools.pairwise(turns), start=1):
        if not np.array_equal(shorter, longer[: len(shorter)]):
            return BadDocument(
                f"the tokens of the conversation up to turn {number} are not the beginning of those up to turn {number + 1}: the "
                "template, or the tokenizer, writes the earlier turns differently once the conversation goes on"
            )
    return None


def reward(key: str, value: Any) -> Tokens:
    """A number, or a list of numbers, as float32 [numbers]. Raises `BadDocument` for anything else."""
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(part, bool) or not isinstance(part, (int, float)) for part in values):
        raise BadDocument(f"'{key}' is of kind {kind_of(value)}, where a number or a list of numbers is expected")
    return np.array(values, np.float32)


def binary_reward(key: str, value: Any) -> Tokens:
    """1 for what is true, -1 for what is false, float32 [1]. Raises `BadDocument` for what is neither a boolean nor a number."""
    if not isinstance(value, (bool, int, float)):
        raise BadDocument(f"'{key}' is of kind {kind_of(value)}, where true or false is expected")
    return np.array([1 if value else -1], np.float32)
