"""A lock by which one process at a time writes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from neox_core.files import make_directory


class Lock(Enum):
    """Whose a lock is."""

    HELD = "held by this process"
    TAKEN = "held by another"
    NONE = "there can be none here"


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Hold the lock in the block, if it is free; the kernel frees it when this process ends, however it does.

    Where there can be no lock it is gone without: whoever builds, builds the same, and publishes it in one step.
    """
    try:
        make_directory(path.parent)
        stream = path.open("ab")
    except OSError:
        yield Lock.NONE
        return
    with stream:
        held = _tried(stream, path)
        try:
            yield held
        finally:
            if held is Lock.HELD:
                path.unlink(missing_ok=True)


def _tried(stream: BinaryIO, path: Path) -> Lock:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_current = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return Lock.TAKEN
    except OSError:
        return Lock.NONE
    return Lock.HELD if is_current else Lock.TAKEN  # else the one before has removed it since it was opened
