"""What ends a run's processes when the launcher itself is killed by a signal that it cannot catch."""

from __future__ import annotations

import subprocess
from typing import Self

# The shell reads process groups until its standard input ends, which the kernel sees to when the writer is gone.
_SCRIPT = 'while read -r group; do groups="$groups $group"; done; for group in $groups; do kill -9 "-$group"; done'


class Guard:
    """Kills process groups as soon as this process is gone, however it went. A context manager; its end calls the guard off.

    A shell that waits on a pipe, instead of the kernel's parent death signal: that would need Python code between fork and
    exec, which is unsafe where there are threads, and it would spare the children of the processes that it kills.
    """

    def __enter__(self) -> Self:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            bufsize=0,
            start_new_session=True,  # so that what kills our group does not reach it
        )
        return self

    def watch(self, group: int) -> None:
        """Include a process group. Its number must not be free for reuse (its leader unreaped) until the guard's end."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{group}\n".encode())

    def __exit__(self, *_: object) -> None:
        self._shell.kill()  # before its input ends
        self._shell.communicate()
