"""What a server makes: a prefix, completions of it, and how good each is."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = Sequence[int] | npt.NDArray[np.integer[Any]]

MOST_REWARD = 1e30
"""Size that a reward may have, so that differences and means of rewards stay finite in float32."""


class MessageError(ValueError):
    """A message breaks the protocol. Says how; whose message it was is for the receiver to add."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Completions of one prefix.

    Args:
        prefix: token ids before each completion, on which there is no loss; at most seq_length.
        completions: token ids of each completion, at least one.
        rewards: one for each completion, finite.
    """

    prefix: Ids
    completions: Sequence[Ids]
    rewards: Sequence[float]


def checked_group(group: Group, *, seq_length: int, vocab_size: int) -> Group:
    """The group with ids as int32 arrays and rewards as a list of float.

    Raises:
        MessageError: an id is not in the vocabulary, a reward is not finite, there are not as many rewards as completions, there
            is no completion or an empty one, or the prefix leaves no place for one.
    """
    prefix = _id_array(group.prefix, vocab_size)
    completions = [_id_array(completion, vocab_size) for completion in group.completions]
    if not completions:
        raise MessageError("it has no completion")
    if len(completions) != len(group.rewards):
        raise MessageError(f"it has {len(completions)} completions and {len(group.rewards)} rewards; each needs one")
    if any(len(completion) == 0 for completion in completions):
        raise MessageError("a completion is empty; it needs an end-of-text token at least")
    if len(prefix) > seq_length:
        raise MessageError(
            f"the prefix has {len(prefix)} tokens, which leaves no place for a completion; at most seq_length, "
            f"{seq_length}, are allowed"
        )
    return Group(prefix, completions, [_reward(reward) for reward in group.rewards])


def _id_array(ids: Ids, vocab_size: int) -> npt.NDArray[np.int32]:
    if not _are_whole_numbers(ids):
        raise MessageError(f"{reprlib.repr(ids)} is no list of token ids")
    if len(ids):
        least, largest = (ids.min(), ids.max()) if isinstance(ids, np.ndarray) else (min(ids), max(ids))
        if least < 0 or largest >= vocab_size:
            wrong = reprlib.repr(int(least if least < 0 else largest))
            raise MessageError(f"the token {wrong} is not in the vocabulary, which has 0 to {vocab_size - 1}")
    return np.asarray(ids, dtype=np.int32)


def _are_whole_numbers(ids: Ids) -> bool:
    if isinstance(ids, np.ndarray):
        return ids.ndim == 1 and ids.dtype.kind in "iu"
    # Each type once, since a batch has a million ids; and before numpy sees them, which makes texts as long as the longest.
    return isinstance(ids, list | tuple | range) and all(_is_number(kind, Integral) for kind in set(map(type, ids)))


def _reward(value: float) -> float:
    if not (_is_number(type(value), Real) and abs(value) <= MOST_REWARD):  # so put, it is true of no NaN
        raise MessageError(
            f"the reward {reprlib.repr(value)} is no finite number from {-MOST_REWARD:g} to {MOST_REWARD:g}"
        )
    return float(value)


def _is_number(kind: type, number: type) -> bool:
    """Whether a type is this kind of number, Python's or numpy's; bool, which Python counts as one, is not."""
    return issubclass(kind, number) and not issubclass(kind, bool)
