"""Ranks without torch that meet and watch each other, each a process, with a fault of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from launching import eventually

from neox_core.launch import free_port

_PRELUDE = """
import os, signal, sys, threading, time
from pathlib import Path
from neox_core.launch import Patience, Rendezvous, Watch, go_to_rank_0, receive_ranks, watch as module
from neox_core.launch.rendezvous import Rendezvous

module.TICK = 0.2
place = Rendezvous.from_environment(os.environ)
rank = place.rank
meeting = (go_to_rank_0 if rank else receive_ranks)(place, "runs/test", Patience(limit=30.0))
if rank == 0:
    meeting.begin({})

def ready():
    Path(f"ready-{rank}").write_text(str(os.getpid()))

def collective():
    ready()
    threading.Event().wait()  # nothing in this process ends it

with Watch(meeting, limit=4.0) as watch:
    watch.run_dir = Path("run")
    watch.crumbs.patience = 1
    watch.crumbs.at("backward", 3, 1)
"""


@dataclass
class Rank:
    """A running rank."""

    process: subprocess.Popen[str]
    directory: Path
    number: int

    def is_ready(self) -> int:
        """Its process id, once it is where its program calls `ready` or `collective`."""
        path = self.directory / f"ready-{self.number}"
        eventually(lambda: path.exists() and path.read_text() != "", 30)
        return int(path.read_text())

    def end(self, timeout: float = 30) -> tuple[int, str]:
        """Its exit code, and what it said."""
        try:
            said, _ = self.process.communicate(timeout=timeout)
        finally:
            self.process.kill()
        return self.process.returncode, said


def start(directory: Path, *programs: str) -> list[Rank]:
    """A rank for each program, which goes on within the watch and knows `watch`, `ready()` and `collective()`."""
    (directory / "run").mkdir()
    port, world = free_port(), str(len(programs))
    ranks = []
    for rank, program in enumerate(programs):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + textwrap.indent(textwrap.dedent(program), "    ")],
            cwd=directory,
            env={**os.environ, **place, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **_PATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ranks.append(Rank(process, directory, rank))
    return ranks


_PATH = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def send(rank: Rank, number: signal.Signals) -> None:
    """A signal to a rank that is ready."""
    os.kill(rank.is_ready(), number)
