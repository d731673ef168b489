"""Signals that ask a run to save and end."""

from __future__ import annotations

import signal
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""A launcher's or a user's wish, and what a scheduler sends before the time is up."""


class StopRequests:
    """Remembers the first such signal instead of dying of it; the training loop looks after each step."""

    def __init__(self) -> None:
        self.received = 0
        for number in ASKING:
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
