"""Starts a launcher as a process of its own, with small Python programs as ranks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCHER = """
import json, os, sys
from pathlib import Path
from neox_core.launch import Command, LaunchPlan, supervise

commands = [
    Command(argv=tuple(argv), host="localhost", rank=rank, environment={"RANK": str(rank)}, log=Path(f"logs/rank-{rank}.log"))
    for rank, argv in enumerate(json.loads(sys.argv[1]))
]
sys.exit(supervise(LaunchPlan(launcher="test", commands=tuple(commands)), grace=float(sys.argv[2])))
"""

# What every rank's program begins with; -S keeps its start under 20 ms.
_PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path

rank = int(os.environ["RANK"])

def ready():
    Path(f"ready-{rank}").write_text(str(os.getpid()))

def wait(seconds=30):
    time.sleep(seconds)
    sys.exit("nobody ended this rank")
"""


def program(source: str) -> list[str]:
    """The command of a rank that runs this Python source, in which `rank`, `ready()` and `wait()` are known."""
    return [sys.executable, "-S", "-c", _PRELUDE + textwrap.dedent(source)]


@dataclass
class Launched:
    """A running launcher; its working directory holds `logs/` and what its ranks write."""

    process: subprocess.Popen[bytes]
    directory: Path

    def pids(self, names: Sequence[str]) -> list[int]:
        """The process ids that ranks wrote to these files, once all are there."""
        paths = [self.directory / name for name in names]
        eventually(lambda: all(path.exists() and path.read_text() for path in paths))
        return [int(path.read_text()) for path in paths]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the launcher alone."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), err.decode()

    def log(self, rank: int) -> str:
        """What a rank's log holds."""
        return (self.directory / "logs" / f"rank-{rank}.log").read_text()


def launch(
    directory: Path,
    *ranks: str,
    grace: float = 5.0,
    environment: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
) -> Launched:
    """A launcher process with these ranks, each the source of a `program`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, json.dumps([program(source) for source in ranks]), str(grace)],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    return Launched(process, directory)


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition; AssertionError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
