"""One run at a time saves into a directory."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from neox_core.errors import UserError
from neox_core.file_locks import Lock, try_lock
from neox_core.files import make_directory

FILE_NAME = ".lock"


class DirectoryLock:
    """Holds a directory as long as this process lives; the system gives it free whatever ends the process.

    Raises:
        UserError: another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        make_directory(directory)
        self._file = (directory / FILE_NAME).open("a+")
        if try_lock(self._file.fileno(), directory / FILE_NAME) is not Lock.HELD:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise UserError(f"save: {holder} is saving into {directory}; wait for it, or choose another directory")
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let others have it."""
        self._file.close()
