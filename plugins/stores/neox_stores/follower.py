"""The part of all ranks but 0: each copies its own files of the checkpoint that rank 0 names."""

from __future__ import annotations

import threading
import time

from neox_core.checkpoint.layout import checkpoint_path
from neox_core.checkpoint.remote import OpenCheckpoint
from neox_core.errors import UserError
from neox_stores.copier import POLL, Copier, Task
from neox_stores.marks import Mark

AHEAD = 2
"""So many of the newest are held open: rank 0 may have chosen either."""

LONGEST_POLL = 10.0
"""Seconds between looks at what rank 0 says, the longest, after long silence: a thousand ranks ask the same file system."""

SLOWER = 1.2
"""So many times as long as the last is each further pause between these, while nothing is offered."""

BEAT = 10.0
"""Seconds between words to rank 0 while files are on their way."""


class Follower(Copier):
    """Copies this rank's files, and says so to rank 0."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._asked = self._furthest = 0
        """How often the copying of files has asked whether to go on, in this attempt at them and at most in any."""
        self._beat = threading.Lock()
        self._beat_at = 0.0
        self._given_up = False

    def _next(self) -> OpenCheckpoint | None:
        while (target := self._wait()) is not None:
            with self._news:
                self._forget_before(target)
                if target in self._held:
                    self._under_way = target
                    return self._held[target]
            self._open_again(target)
        return None

    def _wait(self) -> int | None:
        """What is to be copied now and is not done; None at the end."""
        with self._news:
            self._under_way, pause = None, POLL
            while not self._ended:
                target = self._marks.going
                if target is not None and target not in self._copied and target not in self._failed:
                    return target
                pause = POLL if self._news.wait(pause) else min(SLOWER * pause, LONGEST_POLL)
        return None

    def _open_again(self, iteration: int) -> None:
        """Hold one that rank 0 has chosen though newer ones were offered since, or it could not be opened; rank 0 is told if not."""
        self._unopened = False
        try:
            opened = OpenCheckpoint(checkpoint_path(self._task.directory, iteration), wanted=self.is_mine)
        except UserError as error:
            with self._news:
                self._failed[iteration] = str(error)
            self._say(Mark(iteration, str(error)))
        else:
            with self._news:
                self._held[iteration] = opened

    def _copy(self, checkpoint: OpenCheckpoint) -> int:
        self._asked, self._given_up = 0, False
        return self._push(checkpoint).files()

    def _stopped(self) -> bool:
        """Asked between parts: now and then rank 0 is told that there is progress, and looked at whether it still waits for it.

        Files that an attempt after a failure comes to again are none.
        """
        self._asked += 1
        if time.monotonic() - self._beat_at > BEAT and self._beat.acquire(blocking=False):
            try:
                self._beat_at = time.monotonic()
                self._tell_progress()
            finally:
                self._beat.release()
        return self._ended or self._given_up

    def _tell_progress(self) -> None:
        iteration = self._under_way
        if iteration is None:
            return
        if self._asked > self._furthest:
            self._furthest = self._asked
            self._say(Mark(iteration, moves=self._furthest))
        self._given_up = self._marks.target not in (None, iteration)

    def _settle(self, checkpoint: OpenCheckpoint, *, sent: int = 0, failed: str | None = None) -> None:
        self._furthest = 0
        self._say(Mark(checkpoint.iteration, failed))
        super()._settle(checkpoint, sent=sent, failed=failed)

    def _say(self, mark: Mark) -> None:
        try:
            self._marks.put(self._task.rank, mark)
        except UserError as error:
            self._warn_once(str(error))

    def _is_wanted(self, checkpoint: OpenCheckpoint) -> bool:
        return self._marks.target == checkpoint.iteration

    def _make_room(self) -> None:
        """Held is what rank 0 copies, and what it may copy next."""
        wanted = {self._under_way, self._marks.target, *sorted(self._held)[-AHEAD:]}
        for iteration in [*self._held]:
            if iteration not in wanted:
                self._drop(iteration)

    def _forget_before(self, target: int) -> None:
        """Rank 0 does not go back."""
        for iteration in [*self._held]:
            if iteration < target:
                self._drop(iteration)

    def _pending(self) -> bool:
        return (bool(self._held) or self._unopened) and not self._marks.ended

    def _tell_waiting(self, seconds: float) -> None:
        """Rank 0 says it."""

    def _report(self) -> None:
        """Rank 0 does."""
