"""Copying what a process writes to its terminal into files of a directory."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import IO, Any, TextIO

from neox_core.errors import UserError


class CopiedStream:
    """A text stream that also writes to a file; anything else is asked of the stream."""

    def __init__(self, stream: TextIO, copy: IO[str]) -> None:
        self._stream = stream
        self._copy = copy

    def write(self, text: str) -> int:
        """Write to both; the file is written at once, so that a crash loses nothing."""
        self._copy.write(text)
        self._copy.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def copy_output(directory: Path) -> None:
    """Copy standard output and standard error to files of `directory` named by this host, from now on; once is enough.

    Raises:
        UserError: the files cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, CopiedStream):
                copy = (directory / f"{socket.gethostname()}_{name}.txt").open("a", encoding="utf-8")
                setattr(sys, name, CopiedStream(stream, copy))
    except OSError as error:
        raise UserError(
            f"log_dir: {directory} cannot be written: {error.strerror}; choose another directory"
        ) from error
