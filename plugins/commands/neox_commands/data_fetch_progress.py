"""Shows on stderr how a download goes: a bar a file on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_INTERVAL = 10.0  # seconds between lines


@contextmanager
def watching() -> Iterator[Bars | Lines]:
    """An observer of downloads, for as long as the block lasts."""
    observer = Bars() if sys.stderr.isatty() else Lines()
    try:
        yield observer
    finally:
        observer.close()


class Bars:
    """One tqdm bar a file, with speed and time left; a finished one is left behind."""

    def __init__(self) -> None:
        self._name = ""
        self._bar: Any = None

    def advance(self, name: str, done: int, total: int | None) -> None:
        """So many bytes of the file are there."""
        if name != self._name or self._bar is None:
            self._begin(name, done)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def notice(self, text: str) -> None:
        """Say it above the bar."""
        from tqdm import tqdm  # type: ignore[import-untyped]

        tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def _begin(self, name: str, done: int) -> None:
        from tqdm import tqdm

        self.close()
        self._name = name
        self._bar = tqdm(desc=name, initial=done, file=sys.stderr, unit="B", unit_scale=True)


class Lines:
    """A line when a file begins, and one every ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name = ""
        self._begun = self._said = 0.0
        self._initial = 0

    def advance(self, name: str, done: int, total: int | None) -> None:
        """So many bytes of the file are there."""
        now = self._clock()
        if name != self._name:
            self._name, self._initial, self._begun, self._said = name, done, now, now
            there = f", {done / 1e6:,.1f} MB are there" if done else ""
            self.notice(f"fetching {name} ({_megabytes(total)}{there})")
        elif now - self._said >= _INTERVAL:
            self._said = now
            self.notice(self._line(done, total, now))

    def notice(self, text: str) -> None:
        """Say it."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is left to end."""

    def _line(self, done: int, total: int | None, now: float) -> str:
        speed = (done - self._initial) / max(now - self._begun, 1e-9)
        left = f", {(total - done) / speed:,.0f} s left" if total is not None and speed > 0 else ""
        return f"{self._name}: {done / 1e6:,.1f} of {_megabytes(total)}, {speed / 1e6:,.1f} MB/s{left}"


def _megabytes(total: int | None) -> str:
    return "unknown size" if total is None else f"{total / 1e6:,.1f} MB"
