"""Runs the processes of a plan on this machine to their common end: output, failures, signals, exit code."""

from __future__ import annotations

import math
import selectors
import time
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, Signals

from neox_core.launch.guard import Guard
from neox_core.launch.inbox import SignalInbox
from neox_core.launch.job import Command, LaunchPlan
from neox_core.launch.output import Screen
from neox_core.launch.process import LocalProcess
from neox_core.launch.verdict import ELSEWHERE

FORWARDED = {SIGINT: SIGTERM, SIGTERM: SIGTERM, SIGHUP: SIGTERM, SIGUSR1: SIGUSR1}
"""What each signal to the launcher becomes for the ranks."""

SAME_WISH = 1.0
"""Seconds after a SIGINT in which another one is the same wish: a shell or `make` may pass on what the terminal has sent to all."""


def supervise(plan: LaunchPlan, *, grace: float = 5.0) -> int:
    """Run a plan's commands here until all have ended. Call it from the main thread.

    Output is copied to each command's log; that of rank 0 is shown as it comes. The first process that fails ends the run:
    it is reported with its last lines, and the others have `grace` seconds from SIGTERM to SIGKILL. One that ends with `ELSEWHERE`
    says that another failed: that one is waited for, reported, and killed at once where a signal has stopped it. SIGINT, SIGTERM and
    SIGHUP reach every rank as SIGTERM, SIGUSR1 as itself, and the ranks take the time they need to save; a second SIGINT,
    later than `SAME_WISH`, kills them at once. Whatever happens, nothing in the ranks' process groups outlives this call, or
    this process.

    Returns 0 when all end with 0; the code of the process that failed first, 128 + n when signal n killed or stopped it; 128 + n after
    signal n to us when all ended in order, by 0, 128 + n or that signal. After SIGUSR1 alone, which a program may answer and
    go on, it is 0 when all end with 0. UserError: a command cannot be started.
    """
    for path, text in plan.files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    with SignalInbox(FORWARDED) as inbox, Guard() as guard:
        return _Supervision(inbox, guard, grace).run(plan.commands)


class _Supervision:
    def __init__(self, inbox: SignalInbox, guard: Guard, grace: float) -> None:
        self._inbox = inbox
        self._guard = guard
        self._grace = grace
        self._screen = Screen()
        self._processes: list[LocalProcess] = []
        self._selector = selectors.DefaultSelector()
        self._culprit: LocalProcess | None = None
        self._victim: LocalProcess | None = None  # the first that has ended because of another, which may be elsewhere
        self._deadline: float | None = None  # on the monotonic clock: when those still running are killed
        self._killed: list[LocalProcess] = []  # by us
        self._received: list[Signals] = []
        self._interrupted = math.inf  # on the monotonic clock: when the first SIGINT came
        self._orderly = {0}  # codes that are no failure

    def run(self, commands: tuple[Command, ...]) -> int:
        with self._selector:
            self._selector.register(self._inbox, selectors.EVENT_READ)
            try:
                for command in commands:
                    self._start(command)
                while self._running():
                    self._wait()
            finally:
                for process in self._processes:
                    process.close()
        self._show_tail()
        return self._exit_code()

    def _start(self, command: Command) -> None:
        process = LocalProcess(command, screen=self._screen if command.rank in (None, 0) else None)
        self._processes.append(process)
        self._guard.watch(process.group)
        for stream in process.streams:
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)

    def _running(self) -> list[LocalProcess]:
        return [process for process in self._processes if process.code is None]

    def _wait(self) -> None:
        """Wait for output, a signal, an end or the deadline, and deal with it."""
        patience = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        for key, _ in self._selector.select(patience):
            if key.data is not None and not key.data.pump():
                self._selector.unregister(key.fileobj)
        for number in self._inbox.read():
            self._receive(number)
        for process in self._processes:
            if process.poll():
                self._ended(process)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._kill_all()

    def _receive(self, number: Signals) -> None:
        if number == SIGINT and SIGINT in self._received:
            if time.monotonic() - self._interrupted > SAME_WISH:
                self._screen.say(b"interrupted again: the ranks are killed")
                self._orderly.add(-SIGKILL)
                self._kill_all()
            return
        if number == SIGINT:
            self._interrupted = time.monotonic()
            self._screen.say(
                b"interrupted: the ranks are asked to save and end (SIGTERM); again, a second or more later, to end at once, unsaved"
            )
        self._received.append(number)
        forwarded = FORWARDED[number]
        self._orderly |= {128 + number, 128 + forwarded, -forwarded}
        for process in self._running():
            process.send(forwarded)

    def _ended(self, process: LocalProcess) -> None:
        if process.code == ELSEWHERE:
            self._victim = self._victim or process
        if self._culprit is not None or process.code in self._orderly or process in self._killed:
            return
        if process.code == ELSEWHERE:
            stopped = [other for other in self._running() if other.find_stopped()]
            if stopped:
                self._blame(stopped[0])
            for other in stopped:
                other.kill()
        else:
            self._blame(process)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
            self._orderly |= {128 + SIGTERM, -SIGTERM}
            for other in self._running():
                other.send(SIGTERM)

    def _blame(self, process: LocalProcess) -> None:
        self._culprit = process
        self._report(process)

    def _report(self, process: LocalProcess) -> None:
        where = "" if process.log.path is None else f" (log: {process.log.path})"
        self._screen.say(f"{process.title} {process.ending}{where}".encode())

    def _kill_all(self) -> None:
        self._deadline = None
        self._killed = self._running()
        for process in self._killed:
            process.kill()

    def _show_tail(self) -> None:
        """Show the last lines of the rank that failed, or that says which did, after whatever the others had to say.

        Rank 0's have been seen. What it says of others that were killed, another one says of it.
        """
        speaker = self._culprit
        if speaker is None and self._victim is not None:
            self._report(self._victim)
        if speaker is None or speaker.stopped_by is not None or (speaker.command.rank == 0 and (speaker.code or 0) < 0):
            speaker = self._victim
        if speaker is None or speaker.command.rank in (None, 0) or not speaker.log.tail:
            return
        prefix = f"[rank {speaker.command.rank}] ".encode()
        self._screen.say(*(prefix + line for line in speaker.log.tail))

    def _exit_code(self) -> int:
        failed = self._culprit or self._victim
        if failed is not None and failed.code is not None:
            signal = failed.stopped_by or -failed.code
            return 128 + signal if signal > 0 else failed.code
        if not self._received:
            return 0
        if set(self._received) == {SIGUSR1} and all(process.code == 0 for process in self._processes):
            return 0
        return 128 + self._received[-1]
