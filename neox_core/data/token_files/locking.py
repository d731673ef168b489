"""One writer at a time for each prefix."""

from __future__ import annotations

import os
from pathlib import Path

from neox_core.errors import UserError
from neox_core.file_locks import Lock, try_lock

_held: set[Path] = set()  # a process does not exclude itself by a lock on a file


class PrefixLock:
    """A lock on `.NAME.lock` beside the files, which the system takes back when the process ends, however it ends.

    It is a POSIX record lock: processes that a writer forks do not keep it when the writer is killed. On file systems that have no
    locks, writers of different processes are not kept apart.

    Raises:
        UserError: another writer has it, or the directory cannot be written.
    """

    def __init__(self, prefix: str) -> None:
        tokens = Path(f"{prefix}.bin").absolute()
        self._path = tokens.with_name(f".{tokens.stem}.lock")
        if self._path in _held:
            raise self._taken()
        self._descriptor = self._acquire()
        _held.add(self._path)

    def release(self) -> None:
        """Let another writer in; the file goes."""
        if self._path in _held:
            _held.remove(self._path)
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                lock = try_lock(descriptor, self._path, inherited=False)
            except BaseException:
                os.close(descriptor)
                raise
            if lock in (Lock.HELD, Lock.NONE):
                return descriptor
            os.close(descriptor)
            if lock is Lock.TAKEN:
                raise self._taken()

    def _taken(self) -> UserError:
        prefix = self._path.with_name(self._path.name[1:].removesuffix(".lock"))
        return UserError(
            f"{prefix}: another process is writing these token files; wait for it, or choose another prefix"
        )
