"""`neox train` as a user starts it, watched while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from launching import eventually, is_running
from plugin_distributions import NEOX, environment

PACE = """
import os, time

def neox_step_end(run, step):
    with open(f"steps-{run.rank}", "a") as file:
        file.write(f"{step.iteration} {os.getpid()}\\n")
    time.sleep(0.1)
"""
"""A plugin that tells which step each rank is at, and gives the test time to do something about it."""


@dataclass
class Command:
    """A running `neox train`; its working directory has the configuration."""

    process: subprocess.Popen[str]
    directory: Path

    def reaches(self, step: int, ranks: int = 1) -> list[int]:
        """Wait until each rank has done a step; their process ids."""
        eventually(lambda: self._over() or all(self._at(rank)[0] >= step for rank in range(ranks)), 60)
        assert not self._over(), self.end()
        return [self._at(rank)[1] for rank in range(ranks)]

    def _over(self) -> bool:
        return self.process.poll() is not None

    def _at(self, rank: int) -> tuple[int, int]:
        path = self.directory / f"steps-{rank}"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        step, pid = lines[-1].split() if lines else (0, 0)
        return int(step), int(pid)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the launching process."""
        self.process.send_signal(number)

    def end(self, timeout: float = 90) -> tuple[int, str]:
        """Exit code, and everything that was said."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate(timeout=10)
            raise AssertionError(f"it took more than {timeout} s\n{out}\n{err}") from None
        return self.process.returncode, out + err


def train(directory: Path, *words: str) -> Command:
    """Start `neox train` at a pace that can be followed."""
    for path in directory.glob("steps-*"):
        path.unlink()
    (directory / "pace.py").write_text(PACE)
    process = subprocess.Popen(
        [NEOX, "-p", "pace.py", "train", *words],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Command(process, directory)


def are_gone(pids: list[int], seconds: float = 10) -> None:
    """Wait until none of these processes runs; AssertionError when one does."""
    deadline = time.monotonic() + seconds
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > deadline:
            for pid in pids:
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)
            raise AssertionError("ranks outlived their launcher")
        time.sleep(0.02)
