"""Samples in the order in which a server makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from neox_core.data.online.baselines import LeaveOneOut, MovingAverage
from neox_core.data.online.groups import Group, Ids
from neox_core.data.online.messages import Request

Sample = dict[str, npt.NDArray[Any]]
"""text and label, int64 [seq_length + 1]; reward (less its baseline) and raw_reward, float32 [1]."""

State = dict[str, Any]
"""A stream's place, in what JSON has: see `SampleStream.state`."""

NO_LOSS = -100
"""Label where there is no loss: the prefix, and what fills a sample up."""

PADDING = 0
"""Token that fills a sample up."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample before it has its length: token ids, and the reward with and without its baseline."""

    prefix: Ids
    completion: Ids
    reward: float
    raw_reward: float

    def sample(self, seq_length: int) -> Sample:
        """Prefix and completion, filled up or cut to seq_length + 1 tokens, with labels on the completion only."""
        prefix, completion = (np.asarray(ids, dtype=np.int64) for ids in (self.prefix, self.completion))
        text = np.full(seq_length + 1, PADDING, dtype=np.int64)
        label = np.full(seq_length + 1, NO_LOSS, dtype=np.int64)
        tokens = np.concatenate([prefix, completion])[: seq_length + 1]
        text[: len(tokens)] = tokens
        label[len(prefix) : len(tokens)] = tokens[len(prefix) :]
        return {
            "text": text,
            "label": label,
            "reward": np.array([self.reward], dtype=np.float32),
            "raw_reward": np.array([self.raw_reward], dtype=np.float32),
        }


class SampleStream:
    """One data-parallel rank's samples of one split, endless.

    A sample is a prefix and one of its completions, in the order in which the server sent them. What is longer than
    seq_length + 1 tokens loses its end, which is told for each batch and counted in `truncated`.

    Args:
        fetch: makes the groups of a batch, for example `BatchClient.batch`.
        split: "train", "valid" or "test".
        rank: of the data-parallel ranks.
        world_size: how many of them there are.
        seq_length: samples have one token more.
        vocab_size: token ids are less than this.
        leave_one_out: compare a reward with the others of its prefix, instead of the moving average of groups before.
        tell: gets a sentence for each batch of which samples were cut.
    """

    def __init__(
        self,
        fetch: Callable[[Request], Sequence[Group]],
        *,
        split: str,
        rank: int,
        world_size: int,
        seq_length: int,
        vocab_size: int,
        leave_one_out: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._fetch = fetch
        self._tell = tell
        self._next = Request(split, rank, world_size, 0, seq_length, vocab_size)
        self._baseline = LeaveOneOut() if leave_one_out else MovingAverage()
        self._pending: deque[Completion] = deque()
        self.truncated = 0
        """Samples that were cut since the beginning of the run."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sample:
        return self.next_sample()

    def next_sample(self) -> Sample:
        """The next sample; asks the server for a batch where none is left.

        Raises:
            UserError: the server makes none, or has made one completion of a prefix and `leave_one_out` needs others.
        """
        if not self._pending:
            self._take(self._fetch(self._next))
        return self._pending.popleft().sample(self._next.seq_length)

    def state(self) -> State:
        """Where the stream is, in numbers, texts, lists and dicts: its next batch, the samples that it has left of the one
        before, and what its baseline remembers."""
        return {
            "batch": self._next.batch,
            "pending": [
                [_plain(one.prefix), _plain(one.completion), one.reward, one.raw_reward] for one in self._pending
            ],
            "mean_rewards": self._baseline.state(),
            "truncated": self.truncated,
        }

    def restore(self, state: State) -> None:
        """Go on from a state: the samples that were left come first, and then the batch that was next."""
        self._next = replace(self._next, batch=state["batch"])
        self._pending = deque(Completion(*one) for one in state["pending"])
        self._baseline.restore(state["mean_rewards"])
        self.truncated = state["truncated"]

    def _take(self, groups: Sequence[Group]) -> None:
        taken = [completion for group in groups for completion in self._completions(group)]
        self._count_truncated(taken)
        self._pending.extend(taken)
        self._next = replace(self._next, batch=self._next.batch + 1)

    def _completions(self, group: Group) -> list[Completion]:
        rewards = self._baseline.advantages(group.rewards).tolist()
        return [Completion(group.prefix, *one) for one in zip(group.completions, rewards, group.rewards, strict=True)]

    def _count_truncated(self, taken: Sequence[Completion]) -> None:
        room = self._next.seq_length + 1
        longer = sum(len(one.prefix) + len(one.completion) > room for one in taken)
        self.truncated += longer
        if longer:
            self._tell(
                f"{longer} of {len(taken)} samples in {self._next} have more than seq_length + 1 = {room} tokens and lose "
                f"their ends ({self.truncated} since the beginning)."
            )


def redistributed(states: Sequence[State], world_size: int) -> list[State]:
    """States of `world_size` ranks that together go on where the ranks of `states` were.

    Samples that are left are dealt out in turn, so none is lost and none comes twice. The next batch of each is the furthest
    of all; rank r goes on with the baseline of the old rank r, counted around.
    """
    if len(states) == world_size:
        return list(states)
    turns = zip_longest(*(state["pending"] for state in states))
    pending = [one for turn in turns for one in turn if one is not None]
    return [
        {
            "batch": max(state["batch"] for state in states),
            "pending": pending[rank::world_size],
            "mean_rewards": states[rank % len(states)]["mean_rewards"],
            "truncated": sum(state["truncated"] for state in states[rank::world_size]),
        }
        for rank in range(world_size)
    ]


def _plain(ids: Ids) -> list[int]:
    plain: list[int] = np.asarray(ids).tolist()
    return plain
