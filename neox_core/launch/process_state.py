"""How another process of this machine is, as the kernel says: that needs nothing from the process itself."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal, NamedTuple

ProcessState = Literal["runs", "stopped", "gone"]


class ProcessId(NamedTuple):
    """A process, told apart from any other in the cluster and from a later one with its number.

    Args:
        machine: of two processes with the same, each can look at the other.
        pid: its number there.
        started: when it was started, in ticks of the kernel's clock.
    """

    machine: str
    pid: int
    started: int

    @classmethod
    def own(cls) -> ProcessId:
        """This process."""
        pid = os.getpid()
        return cls(_machine(), pid, _facts(pid)[1])

    def state(self) -> ProcessState:
        """Whether it runs, was stopped by a signal (SIGSTOP), or is gone. A process in a debugger's hands runs."""
        letter, started = _facts(self.pid)
        if started != self.started or letter in "ZX":
            return "gone"
        return "stopped" if letter == "T" else "runs"


def _machine() -> str:
    """A name for what shares process numbers: a boot of a machine, and a namespace on it. Without Linux's /proc there is none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{platform.node()} {os.getpid()}"


def _facts(pid: int) -> tuple[str, int]:
    """The letter of its state, and when it was started; X for none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "X", 0
    fields = text.rpartition(")")[2].split()  # what stands before is the program's name, which may hold anything
    return fields[0], int(fields[19])
