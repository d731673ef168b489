"""A plugin that does to one rank what happens to ranks: FAULT says what, FAULTY_RANK to which, at the end of step 5."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from neox_core.training.batches import Batches


def neox_step_end(run: Any, step: Any) -> None:
    """Pace the run, tell the process, and at step 5 let the fault happen."""
    time.sleep(0.05)
    if step.iteration == 2:
        Path(f"pid-{run.rank}").write_text(str(os.getpid()))
    if step.iteration == 5 and run.rank == int(os.environ["FAULTY_RANK"]):
        Path("fault-at").write_text(str(time.time()))
        FAULTS[os.environ["FAULT"]]()


def _bad_sample() -> None:
    def fail(batches: Batches) -> None:
        raise OSError("sample 17 cannot be read")

    Batches.__next__ = fail  # type: ignore[method-assign,assignment]


def _slow_disk() -> None:
    def wait(batches: Batches) -> None:
        time.sleep(1000)

    Batches.__next__ = wait  # type: ignore[method-assign,assignment]


FAULTS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "bad sample": _bad_sample,
    "slow disk": _slow_disk,
    "none": lambda: None,
}
