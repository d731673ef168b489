"""Signals as something to wait for and read, next to other file descriptors."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Self


class SignalInbox:
    """Collects signals instead of letting them interrupt or end this process; a context manager for the main thread.

    It can be waited for with `selectors`. A signal that this process was started to ignore (nohup) stays ignored.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._previous_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        wanted = [number for number in self._numbers if signal.getsignal(number) is not signal.SIG_IGN]
        # The kernel reaps by itself the children of a process that ignores SIGCHLD, and their exit codes are lost.
        self._previous = {number: signal.signal(number, _collect) for number in {*wanted, signal.SIGCHLD}}
        return self

    def fileno(self) -> int:
        """Readable when a signal, or the news that a child has ended, has come."""
        return self._reader

    def read(self) -> list[signal.Signals]:
        """The awaited signals that have come since the last call, in order."""
        try:
            received = os.read(self._reader, 4096)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in received if number in self._numbers]

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self._reader)
        os.close(self._writer)


def _collect(number: int, frame: FrameType | None) -> None:
    """Python writes the number to the wake-up descriptor only for a signal that has a handler."""
