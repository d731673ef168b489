"""The corpus of the standard library, prepared once for all processes of a run of the tests."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from plugin_distributions import neox


class Prepared(NamedTuple):
    """What `neox data prepare stdlib` left, and what it said. Tests only read it, or copy it.

    Args:
        directory: where it was called.
        stdout: what it printed.
        stderr: its stages.
    """

    directory: Path
    stdout: str
    stderr: str


def prepared_once(own: Path) -> Prepared:
    """Prepare it, unless another process of the same run has.

    Args:
        own: this process's directory for temporary files; with pytest-xdist all of them are in one.
    """
    directory = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "prepared_stdlib"
    directory.mkdir(exist_ok=True)
    said = directory / "stdout", directory / "stderr"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said[-1].exists():
            done = neox("data", "prepare", "stdlib", cwd=directory, timeout=120)
            assert done.returncode == 0, done.stderr
            for path, text in zip(said, (done.stdout, done.stderr), strict=True):
                path.write_text(text)
    return Prepared(directory, *(path.read_text() for path in said))
