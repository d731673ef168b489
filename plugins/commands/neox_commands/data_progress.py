"""Shows on stderr how far a preparation is: a bar on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neox_core.data.preparing.preparation import Progress

StageProgress = Callable[[str, int, int], None]


@contextmanager
def stage_progress() -> Iterator[StageProgress]:
    """A function to call with the stage, how much of it is done, and its total (0 while that is unknown)."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


class _Lines:
    """Says when a stage begins."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            print(f"{stage} ...", file=sys.stderr, flush=True)


class _Bars:
    """One tqdm bar a stage; a finished stage leaves its bar behind."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._begin(stage)
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()

    def _begin(self, stage: str) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped]

        self.close()
        self._stage = stage
        self._bar = tqdm(desc=stage, file=sys.stderr, unit="")


@contextmanager
def preparation_progress(log_interval: int, num_docs: int | None) -> Iterator[Callable[[Progress], None]]:
    """A function to call with how far a preparation of files is.

    On a terminal it is a bar, elsewhere a line every `log_interval` documents. `num_docs` is how many there are, if that is known.
    """
    if not sys.stderr.isatty():
        yield _IntervalLines(log_interval, num_docs)
        return
    bar = _ByteBar(num_docs)
    try:
        yield bar
    finally:
        bar.close()


class _Speed:
    """Rates since the first call, which is made before anything is done; what an earlier run has done is no part of them."""

    def __init__(self, num_docs: int | None) -> None:
        self._started, self._num_docs = time.monotonic(), num_docs
        self._first: Progress | None = None

    def describe(self, progress: Progress) -> str:
        counts, total = progress.counts, "" if self._num_docs is None else f"/{self._num_docs:,}"
        if self._first is None:
            self._first, self._started = progress, time.monotonic()
            return f"{counts.documents:,}{total} documents"
        begun, seconds = self._first.counts, max(time.monotonic() - self._started, 1e-3)
        rates = (
            f"{(counts.documents - begun.documents) / seconds:,.0f} docs/s",
            f"{(counts.text_bytes - begun.text_bytes) / seconds / 1e6:.1f} MB/s",
            f"{(counts.tokens - begun.tokens) / seconds:,.0f} tokens/s",
        )
        return f"{counts.documents:,}{total} documents, {', '.join(rates)}"

    def remaining(self, progress: Progress) -> str:
        """The time that the rest takes at this rate, or nothing where that is unknown."""
        done = 0 if self._first is None else progress.read - self._first.read
        if done <= 0 or progress.total < progress.read:
            return ""
        seconds = (time.monotonic() - self._started) * (progress.total - progress.read) / done
        return f", {datetime.timedelta(seconds=round(seconds))} left"


class _IntervalLines:
    """Writes a line every so many documents."""

    def __init__(self, interval: int, num_docs: int | None) -> None:
        self._speed, self._interval, self._shown = _Speed(num_docs), interval, 0

    def __call__(self, progress: Progress) -> None:
        text = self._speed.describe(progress)
        if progress.counts.documents // self._interval > self._shown:
            self._shown = progress.counts.documents // self._interval
            print(f"{text}{self._speed.remaining(progress)}", file=sys.stderr, flush=True)


class _ByteBar:
    """A tqdm bar over the bytes of the inputs' files."""

    def __init__(self, num_docs: int | None) -> None:
        from tqdm import tqdm

        self._speed = _Speed(num_docs)
        self._bar = tqdm(
            file=sys.stderr, unit="B", unit_scale=True, bar_format="{l_bar}{bar}| {remaining} left {postfix}"
        )

    def __call__(self, progress: Progress) -> None:
        if self._bar.total is None:
            self._bar.total, self._bar.initial, self._bar.n = progress.total or None, progress.read, progress.read
        self._bar.set_postfix_str(self._speed.describe(progress), refresh=False)
        self._bar.update(progress.read - self._bar.n)

    def close(self) -> None:
        self._bar.refresh()
        self._bar.close()
