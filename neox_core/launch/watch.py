"""Ranks that watch each other: whoever dies, is stopped, fails or hangs is named on every rank, and none waits for it.

In each rank a thread reports to rank 0 what its rank is doing. Rank 0 is told at once of what ends (by the kernel, which closes
connections), of what fails (by the rank), and of what is stopped (by the ranks of the same machine); it decides who it was, and
tells all. What cannot be held up decides about no one: a rank that says nothing, because a library keeps the interpreter or a
disk does not answer, is waited for as one that makes no progress.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from neox_core.launch.breadcrumbs import Breadcrumbs
from neox_core.launch.meeting import Attendee, Meeting
from neox_core.launch.posts import Centre, Outpost
from neox_core.launch.rendezvous import Rendezvous
from neox_core.launch.verdict import Verdict

logger = logging.getLogger("neox")

TICK = 1.0
"""Seconds between looks at everything."""

REACTION = 2.0
"""Seconds that the main thread has to notice that the run is over; in a collective it may never do."""

LAST_WORDS = 10.0
"""Seconds that it has for its end once it has noticed."""

ENDED = REACTION + LAST_WORDS + 3.0
"""Seconds in which all ranks have ended once one has failed, their interpreters' own end included."""

ACKNOWLEDGED = 2.0
"""Seconds in which a rank that fails is heard."""

FAILURE = "failure.json"
"""In the run's directory: what rank 0 decided, and what each rank was doing."""

STACKS = "stacks"
"""In the run's directory: where each rank that hangs, or waits for one, stands in its code."""


class Watch:
    """This rank's part of it; a context manager. Nobody watches a rank that is alone.

    Args:
        meeting: the ranks.
        crumbs: what this rank is doing.
        limit: seconds that all ranks together may stand still; None for ever.
        leave: ends this process at once with an exit code.
    """

    def __init__(
        self,
        meeting: Meeting,
        crumbs: Breadcrumbs | None = None,
        *,
        limit: float | None = None,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self.crumbs = crumbs or Breadcrumbs()
        self.run_dir: Path | None = None
        """Where to write what is found, as soon as it is known."""
        self.verdict: Verdict | None = None
        self._rank, self._leave = meeting.own.rank, leave
        self._post = (Outpost if self._rank else Centre)(meeting, self.crumbs)
        self.allow(limit)
        self._decided, self._noticed, self._over = threading.Event(), threading.Event(), threading.Event()
        self._failure: str | None = None
        self._code: int | None = None
        self._bell, self._rope = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._watched = len(meeting.ranks) > 1

    @classmethod
    def alone(cls) -> Watch:
        """That of a rank whose others, if there are any, are watched by somebody else."""
        place = Rendezvous(
            rank=0, local_rank=0, world_size=1, local_world_size=1, master_addr="localhost", master_port=1
        )
        own = Attendee.own(place)
        return cls(Meeting(own, {0: own}))

    def __enter__(self) -> Self:
        if self._watched:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take leave of the others, who will not miss this rank from now on."""
        self._over.set()
        self._ring()
        if self._watched:
            self._thread.join(ACKNOWLEDGED)
        if not self._thread.is_alive():
            self._bell.close()
            self._rope.close()

    def allow(self, seconds: float | None) -> None:
        """How long all ranks together may stand still; None or 0: for ever."""
        self._post.limit = None if not seconds else max(1, round(seconds / TICK))

    def fail(self, reason: str, exit_code: int = 1) -> None:
        """Tell the others why this rank cannot go on; returns when they know, or cannot be told."""
        if not self._thread.is_alive() or self.verdict is not None:
            return
        self._code, self._failure = exit_code, reason
        self._noticed.set()
        self._ring()
        self._decided.wait(ACKNOWLEDGED)

    def explanation(self, seconds: float) -> Verdict | None:
        """Who failed, if that is known or becomes known in this time; the main thread then has a little time for its end."""
        self._noticed.set()
        self._decided.wait(seconds if self._thread.is_alive() else 0.0)
        return self.verdict

    def _ring(self) -> None:
        self._rope.send(b"!")

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            for rank, channel in self._post.channels.items():
                selector.register(channel, selectors.EVENT_READ, (rank, channel))
            verdict = self._watch(selector)
            if verdict is None:
                self._post.take_leave()
            else:
                self._conclude(verdict)

    def _watch(self, selector: selectors.BaseSelector) -> Verdict | None:
        """Until there is a verdict; None when this rank is at its end before that."""
        due = time.monotonic() + TICK
        while not self._over.is_set() and self._post.needed:
            for key, _ in selector.select(max(0.0, due - time.monotonic())):
                if key.data is None:
                    self._bell.recv(64)
                elif not self._post.hear(*key.data):
                    selector.unregister(key.fileobj)
            if self._failure is not None:
                self._post.report(self._failure)
                self._failure = None
            if time.monotonic() >= due:
                due = time.monotonic() + TICK
                self._post.tick()
            if self._post.verdict is not None:
                return self._post.verdict
        return None

    def _conclude(self, verdict: Verdict) -> None:
        """See to it that this process ends, though its main thread may wait for ever for a rank that is gone."""
        self.verdict = verdict
        self._post.announce(verdict)
        self._decided.set()
        self._write(verdict)
        if self._over.wait(REACTION) or (self._noticed.is_set() and self._over.wait(LAST_WORDS)):
            return
        code = verdict.exit_code(self._rank) if self._code is None else self._code
        sys.stderr.write(f"error: {verdict.sentence}\nrank {self._rank} was {self.crumbs.last}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        self._leave(code)

    def _write(self, verdict: Verdict) -> None:
        """Leave what is known in the run's directory; where that cannot be written it is lost."""
        if self.run_dir is None:
            return
        try:
            if self._post.decided:
                self._write_facts(self.run_dir / FAILURE, verdict)
            if verdict.hangs:
                (self.run_dir / STACKS).mkdir(parents=True, exist_ok=True)
                with (self.run_dir / STACKS / f"rank-{self._rank}.txt").open("w", encoding="utf-8") as file:
                    faulthandler.dump_traceback(file)
        except OSError as error:
            logger.warning("%s cannot be written: %s", error.filename, error.strerror)

    def _write_facts(self, path: Path, verdict: Verdict) -> None:
        """Of several ranks that have decided, where it was rank 0, the first one writes."""
        facts = {"failure": verdict.sentence, "ranks": self._post.places()}
        with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(facts, indent=1) + "\n")
