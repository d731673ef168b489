"""Shows on stderr how far a preparation is: a bar on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
