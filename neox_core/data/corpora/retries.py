"""Tries again what failed for the moment, with growing waits, as long as something new comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from neox_core.data.corpora.transfer import Interrupted

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an address is asked without anything new coming, and how long is waited in between (seconds)."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def run(
        self,
        attempt: Callable[[], Result],
        *,
        notice: Callable[[str], None],
        progress: Callable[[], int] = lambda: 0,
    ) -> Result:
        """The result of `attempt`, called until it is not interrupted.

        Failures count from one again whenever `progress` says more than ever before. `notice` is told of each wait.

        Raises:
            Interrupted: that of the last attempt.
        """
        failures, furthest = 0, progress()
        while True:
            try:
                return attempt()
            except Interrupted as interruption:
                reached = progress()
                failures = 1 if reached > furthest else failures + 1
                furthest = max(furthest, reached)
                if failures >= self.attempts:
                    raise
                wait = self._wait(failures, interruption.retry_after)
                notice(f"{interruption}; trying again in {wait:.0f} s")
                self.sleep(wait)

    def _wait(self, failures: int, wish: float | None) -> float:
        """How long to wait after so many failures in a row; the server's wish goes first."""
        return wish if wish is not None else min(self.first_wait * 2 ** (failures - 1), self.longest_wait)
