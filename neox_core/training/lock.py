"""One run at a time saves into a directory."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import TextIO

from neox_core.errors import UserError
from neox_core.file_locks import Lock, open_lock, try_lock
from neox_core.files import missing_directories, remove_empty

FILE_NAME = ".lock"

logger = logging.getLogger("neox")


class DirectoryLock:
    """Holds a directory as long as this process lives, or a block lasts; the system gives it free whatever ends the process.

    Of a block that fails nothing is left of the lock, nor of a directory that was made for it. What a killed process leaves is taken
    over by the next one.

    Where the file system has no locks, as Lustre mounted without them, nobody can be kept out, which is told.

    Raises:
        UserError: another process holds it, or the file system refuses.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._made, self._is_new = missing_directories(directory), not self._path.exists()
        try:
            self._file = _opened(directory)
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            self._file.flush()
        except OSError as error:
            remove_empty(self._made)
            raise UserError(
                f"save: {directory / FILE_NAME} cannot be written: {error}; mend the permissions there, or choose another directory"
            ) from error

    def release(self) -> None:
        """Let others have it."""
        self._file.close()

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None and self._is_new:
            self._path.unlink(missing_ok=True)  # while it is held: whoever waits for it takes another
        self.release()
        if error is not None:
            remove_empty(self._made)


def _opened(directory: Path) -> TextIO:
    """The locked file."""
    path = directory / FILE_NAME
    while True:
        file = open_lock(path)
        match try_lock(file.fileno(), path):
            case Lock.HELD:
                return file
            case Lock.NONE:
                logger.warning(
                    "save: the file system of %s has no locks: see to it that no other run saves there", directory
                )
                return file
            case Lock.GONE:
                file.close()  # somebody removed it since it was opened; there is another now
            case Lock.TAKEN:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise UserError(f"save: {holder} is saving into {directory}; wait for it, or choose another directory")
