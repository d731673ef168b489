"""One writer at a time for each prefix."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from neox_core.data.token_files.identity import is_at
from neox_core.errors import UserError

_held: set[Path] = set()  # a process does not exclude itself by a lock on a file
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


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
                self._lock(descriptor)
                if is_at(os.fstat(descriptor), self._path):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its last owner has removed it meanwhile

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise self._taken() from error
            raise

    def _taken(self) -> UserError:
        prefix = self._path.with_name(self._path.name[1:].removesuffix(".lock"))
        return UserError(
            f"{prefix}: another process is writing these token files; wait for it, or choose another prefix"
        )
