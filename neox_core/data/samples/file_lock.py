"""A lock by which one process at a time writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neox_core.file_locks import Lock, try_lock
from neox_core.files import make_directory


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Hold the lock in the block, if it is free.

    Where there can be no lock it is gone without: whoever builds, builds the same, and publishes it in one step.
    """
    try:
        make_directory(path.parent)
        stream = path.open("ab")
    except OSError:
        yield Lock.NONE
        return
    with stream:
        try:
            held = try_lock(stream.fileno(), path)
        except OSError:
            held = Lock.NONE
        try:
            yield held
        finally:
            if held is Lock.HELD:
                path.unlink(missing_ok=True)
