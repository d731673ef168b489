"""Copying a run's checkpoints to a store by a thread, so that training waits for nothing: what ranks have in common.

What is under way is finished before the next is begun. Of those that wait meanwhile the newest is taken.
"""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from neox_core.checkpoint.remote import Given, OpenCheckpoint, Push, Store, StoreError, StoreOptions
from neox_core.errors import UserError
from neox_core.training.stopping import ASKING
from neox_stores.marks import Marks

logger = logging.getLogger("neox")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts: the first ones, doubled each time, and the longest."""

POLL = 0.3
"""Seconds between looks at what other ranks say."""

HOPELESS = 60.0
"""Seconds of failures alone after which the end of a run does not wait any longer."""

FAREWELL = 2.0
"""Seconds that the thread has to end when it is told to; it does not keep the process."""

UNFINISHED = "it was not finished in time"

_RANK = re.compile(r"[a-z]+/rank-(\d+)\.[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a rank copies, and where to.

    Args:
        url: where the run's checkpoints are copied to.
        open_store: gives the store there.
        options: how it is talked to.
        directory: of the checkpoints here.
        rank: of this process.
        world_size: number of ranks.
        keep_last: how many complete checkpoints stay in the store; None: all.
        run: what tells the run from any other.
    """

    url: str
    open_store: Callable[[], Store]
    options: StoreOptions
    directory: Path
    rank: int
    world_size: int
    keep_last: int | None
    run: str


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that ask this run to end and come in the block; only the main thread has any."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in ASKING}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Copier(ABC):
    """Copies what it is offered, as far as it is this rank's. `offer` and `finish` never raise what is the store's fault."""

    def __init__(self, task: Task) -> None:
        self._task, self._marks = task, Marks(task.directory, task.run)
        self._news = threading.Condition()
        self._held: dict[int, OpenCheckpoint] = {}
        self._copied: dict[int, int] = {}
        self._failed: dict[int, str] = {}
        self._said: set[str] = set()
        self._under_way: int | None = None
        self._ended = False
        self._failing_since: float | None = None
        self._arrived: set[str] = set()
        self._unopened = False
        self._thread = threading.Thread(target=self._run, name="copies", daemon=True)

    def offer(self, path: Path) -> None:
        """Copy a complete checkpoint when its turn comes. Its files are held open until then, so that it may be deleted."""
        try:
            opened = OpenCheckpoint(path, wanted=self.is_mine)
        except UserError as error:
            logger.warning("s3_path: %s is not copied: %s", path.name, error)
            self._unopened = True
        else:
            self._hold(opened)
        if not self._thread.is_alive() and not self._ended:
            self._thread.start()  # also where this failed: other ranks may have to be told so

    def _hold(self, opened: OpenCheckpoint) -> None:
        with self._news:
            if opened.iteration in self._held or opened.iteration in self._copied:
                opened.close()
                return
            self._failed.pop(opened.iteration, None)
            self._held[opened.iteration] = opened
            self._make_room()
            self._news.notify_all()

    def is_mine(self, name: str) -> bool:
        """Whether this rank copies a file of a checkpoint: those of ranks that there are no more are dealt to those there are."""
        match = _RANK.fullmatch(name)
        return (int(match[1]) if match else 0) % self._task.world_size == self._task.rank

    def finish(self, seconds: float) -> None:
        """Wait so long at most for what is still to be copied, not at all where nothing comes of it, and then end.

        A signal that asks a run to end ends the waiting too.
        """
        deadline = time.monotonic() + seconds
        with _signals() as received, self._news:
            if self._pending() and seconds:
                self._tell_waiting(seconds)
            while self._pending() and time.monotonic() < deadline and not received and not self._is_hopeless():
                self._news.wait(POLL)
            self._ended = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(FAREWELL)
        self._report()
        for iteration in [*self._held]:
            if iteration != self._under_way:
                self._drop(iteration)

    def _is_hopeless(self) -> bool:
        return self._failing_since is not None and time.monotonic() - self._failing_since > HOPELESS

    @cached_property
    def _store(self) -> Store:
        return self._task.open_store()

    def _stopped(self) -> bool:
        return self._ended

    def _run(self) -> None:
        """The thread, until it is told to end."""
        while (checkpoint := self._next()) is not None:
            pause = FIRST_PAUSE
            while not self._attempt(checkpoint):
                self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _attempt(self, checkpoint: OpenCheckpoint) -> bool:
        """Copy a checkpoint; False where that is to be tried again."""
        try:
            sent = self._copy(checkpoint)
        except Given:
            self._settle(checkpoint, failed=UNFINISHED)
        except StoreError as error:
            self._failing_since = self._failing_since or time.monotonic()
            if not error.lasting and not self._ended and self._is_wanted(checkpoint):
                self._warn_once(f"{error}; it is tried again, and training goes on")
                return False
            self._settle(checkpoint, failed=str(error))
        except UserError as error:
            self._settle(checkpoint, failed=str(error))
        except Exception as error:
            logger.exception("s3_path: copying %s failed", checkpoint.folder)
            self._settle(checkpoint, failed=f"{type(error).__name__}: {error}")
        else:
            self._failing_since = None
            self._settle(checkpoint, sent=sent)
        return True

    def _rest(self, seconds: float) -> None:
        """Wait, unless there is something newer to do, or an end."""
        with self._news:
            newest = max(self._held, default=None)
            self._news.wait_for(lambda: self._ended or max(self._held, default=None) != newest, seconds)

    def _push(self, checkpoint: OpenCheckpoint) -> Push:
        def arrived(name: str, size: int) -> None:
            if name not in self._arrived:  # those of an earlier attempt are no progress
                self._arrived.add(name)
                self._failing_since = None

        return Push(self._store, checkpoint, self._task.options, stopped=self._stopped, tell=arrived)

    def _settle(self, checkpoint: OpenCheckpoint, *, sent: int = 0, failed: str | None = None) -> None:
        """A checkpoint is not this rank's business any more."""
        with self._news:
            self._held.pop(checkpoint.iteration, None)
            self._arrived.clear()
            checkpoint.close()
            if failed is None:
                self._copied[checkpoint.iteration] = sent
            else:
                self._failed[checkpoint.iteration] = failed
            self._news.notify_all()
        if failed is not None:
            self._warn_once(f"{checkpoint.folder} is not copied: {failed}")

    def _drop(self, iteration: int) -> None:
        """Not to be copied any more, and not begun."""
        self._held.pop(iteration).close()

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            logger.warning("s3_path: %s", sentence)

    @abstractmethod
    def _next(self) -> OpenCheckpoint | None:
        """Wait for the next one to copy; None at the end."""

    @abstractmethod
    def _copy(self, checkpoint: OpenCheckpoint) -> int:
        """Copy this rank's files of it, and what more the rank has to do; bytes that were sent."""

    @abstractmethod
    def _is_wanted(self, checkpoint: OpenCheckpoint) -> bool:
        """Whether to try again with one that failed."""

    @abstractmethod
    def _make_room(self) -> None:
        """Something was offered: drop what is not wanted any more."""

    @abstractmethod
    def _pending(self) -> bool:
        """Whether there is something to wait for at the end."""

    @abstractmethod
    def _tell_waiting(self, seconds: float) -> None:
        """Say that the end waits."""

    @abstractmethod
    def _report(self) -> None:
        """Say at the end what has become of the copies."""
