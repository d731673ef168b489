"""How much better a completion is than was to be expected: rewards less a baseline, as GPT-NeoX computes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neox_core.errors import UserError

Rewards = npt.NDArray[np.float64]

REMEMBERED_GROUPS = 100
"""Groups that a moving average is over."""


class Baseline(Protocol):
    """Takes from the rewards of a group what was to be expected."""

    def advantages(self, rewards: Sequence[float]) -> Rewards:
        """Rewards [completions] less the baseline, float64."""

    def state(self) -> list[float]:
        """What `restore` needs to go on as if nothing had happened."""

    def restore(self, state: Iterable[float]) -> None:
        """Go on from a state."""


class LeaveOneOut:
    """Each completion against the mean of the others in its group (Kool et al., 2019; Ahmadian et al., 2024)."""

    def advantages(self, rewards: Sequence[float]) -> Rewards:
        """Rewards less the mean of the others; raises `UserError` where there are no others."""
        if len(rewards) < 2:
            raise UserError(
                "A group of online samples has one completion, and reinforce_leave_one_out compares it with the others of "
                "its prefix. Let the server make at least two for each, or set `reinforce_leave_one_out: false`."
            )
        return np.array([reward - np.mean(np.delete(rewards, i)) for i, reward in enumerate(rewards)])

    def state(self) -> list[float]:
        """Nothing: groups do not depend on each other."""
        return []

    def restore(self, state: Iterable[float]) -> None:
        """Nothing to go on from."""


class MovingAverage:
    """Each completion against the mean of the mean rewards of the last 100 groups; the first group against 0."""

    def __init__(self) -> None:
        self._means: deque[float] = deque(maxlen=REMEMBERED_GROUPS)

    def advantages(self, rewards: Sequence[float]) -> Rewards:
        """Rewards less the average of the groups before; then the group counts for those that follow."""
        average = np.mean(self._means) if self._means else 0.0
        self._means.append(float(np.mean(rewards)))
        return np.asarray(rewards) - average

    def state(self) -> list[float]:
        """Mean rewards of the last groups, the oldest first."""
        return list(self._means)

    def restore(self, state: Iterable[float]) -> None:
        """Go on after groups of these mean rewards."""
        self._means = deque(state, maxlen=REMEMBERED_GROUPS)
