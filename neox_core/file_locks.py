"""Locks on files, which the system takes back when a process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TextIO

from neox_core.files import make_directory

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_TAKEN = {errno.EACCES, errno.EAGAIN}


class Lock(Enum):
    """Whose a lock is."""

    HELD = "held by this process"
    TAKEN = "held by another"
    GONE = "on a file that has another name since, or none"
    NONE = "there can be none here"


def try_lock(descriptor: int, path: Path, *, inherited: bool = True) -> Lock:
    """Lock an open file if nobody else has, without waiting.

    Args:
        descriptor: of the file.
        path: the name by which it was opened. Whoever had the lock before may have removed the file since.
        inherited: whether processes that this one forks hold the lock too, as long as any of them lives.

    Raises:
        OSError: the system refuses for another reason than that it has no locks here.
    """
    lock = fcntl.flock if inherited else fcntl.lockf
    found = Lock.HELD
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return Lock.TAKEN
        if error.errno not in _UNSUPPORTED:
            raise
        found = Lock.NONE
    return found if is_at(os.fstat(descriptor), path) else Lock.GONE


def open_lock(path: Path) -> TextIO:
    """A file to lock, in a directory that is made where there is none, and made again where another process that failed removes it."""
    while True:
        make_directory(path.parent)
        with suppress(FileNotFoundError):
            return path.open("a+")


def is_at(status: os.stat_result, path: Path) -> bool:
    """Whether the file of this status is the one at `path`; other processes may rename and remove files meanwhile."""
    try:
        return os.path.samestat(status, path.stat())
    except FileNotFoundError:
        return False
