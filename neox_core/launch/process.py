"""One process of a plan that runs on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from io import RawIOBase
from typing import cast

from neox_core.errors import UserError
from neox_core.launch.job import Command
from neox_core.launch.output import Log, Screen, Stream
from neox_core.launch.verdict import ELSEWHERE

_SIGNAL_NAMES = {int(number): number.name for number in signal.Signals}
_SENT_BY_KERNEL: dict[int, str] = {
    signal.SIGKILL: ", as where memory has run out",
    signal.SIGBUS: ", as where a file that it reads was cut short, or /dev/shm is full",
}


class LocalProcess:
    """A command of a plan, started in a session of its own; with a screen, its output is shown there too.

    Its output is a pipe either way; NEOX_TERMINAL tells it how wide the terminal is that shows it, if one does. Until
    `close` an ended process stays unreaped, so that its number cannot come to mean another process or group.
    UserError: it cannot be started.
    """

    def __init__(self, command: Command, *, screen: Screen | None = None) -> None:
        self.command = command
        self.log = Log(command.log)
        self.code: int | None = None
        self.stopped_by: int | None = None
        """The signal that it was found stopped by when the run had failed."""
        environment = {**os.environ, **command.environment}
        if screen is not None and screen.columns is not None:
            environment["NEOX_TERMINAL"] = str(screen.columns)
        self._popen = _start(command, environment, merged=screen is None)
        self.streams = [Stream(cast(RawIOBase, self._popen.stdout), self.log, screen.out if screen else None)]
        if screen is not None:
            self.streams.append(Stream(cast(RawIOBase, self._popen.stderr), self.log, screen.err))

    @property
    def group(self) -> int:
        """Number of its process, session and process group, which are one."""
        return self._popen.pid

    @property
    def title(self) -> str:
        """`rank 1 on localhost`, or the program where one process starts all ranks."""
        rank = self.command.rank
        return f"{self.command.argv[0] if rank is None else f'rank {rank}'} on {self.command.host}"

    @property
    def ending(self) -> str:
        """How it ended, to follow its title: `exited with code 3`, `was killed by signal 9 (SIGKILL)`."""
        if self.stopped_by is not None:
            return f"was stopped by signal {self.stopped_by} ({_SIGNAL_NAMES.get(self.stopped_by, 'real-time')}), and is killed"
        if self.code == ELSEWHERE:
            return "ended because another rank failed"
        if self.code is None or self.code >= 0:
            return f"exited with code {self.code}"
        reason = _SENT_BY_KERNEL.get(-self.code, "")
        return f"was killed by signal {-self.code} ({_SIGNAL_NAMES.get(-self.code, 'real-time')}){reason}"

    def poll(self) -> bool:
        """Whether it has ended just now: all its output is passed on, and `code` its exit code or minus the signal that killed it."""
        if self.code is not None:
            return False
        status = os.waitid(os.P_PID, self.group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is None:
            return False
        self.code = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
        for stream in self.streams:
            stream.drain()
        return True

    def find_stopped(self) -> bool:
        """Whether it was stopped by a signal, and not continued; `stopped_by` is that signal from now on."""
        # Asked for its end too: of a process that has ended meanwhile the kernel would say that there is none.
        status = os.waitid(os.P_PID, self.group, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is not None and status.si_code == os.CLD_STOPPED:
            self.stopped_by = status.si_status
        return self.stopped_by is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone: its own children are its own to end in order."""
        os.kill(self.group, number)

    def kill(self) -> None:
        """End the process and all that it has started in its group, at once."""
        os.killpg(self.group, signal.SIGKILL)

    def close(self) -> None:
        """Leave nothing of it: kill its group, pass on its last output, reap it."""
        self.kill()
        self._popen.wait()
        for stream in self.streams:
            stream.close()
        self.log.close()


def _start(command: Command, environment: dict[str, str], *, merged: bool) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command.argv,
            bufsize=0,
            cwd=command.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(
            f"{command.argv[0]!r} cannot be started in {command.directory or 'this directory'}: {error.strerror} "
            f"({error.filename}); name a program and a directory that exist"
        ) from error
