"""Copying what a process writes to its terminal into files of a directory."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from neox_core.errors import UserError


class _CopiedBytes:
    """A binary stream that also writes to a file, at once, so that a crash loses nothing; anything else is asked of the stream."""

    def __init__(self, stream: BinaryIO, copy: BinaryIO) -> None:
        self._stream, self._copy = stream, copy

    def write(self, data: bytes) -> int:
        """Write to both."""
        self._copy.write(data)
        self._copy.flush()
        return self._stream.write(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Write each to both."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class CopiedStream:
    """The same for a text stream and the binary one below it, where there is one: a notebook's has none."""

    def __init__(self, stream: TextIO, copy: BinaryIO) -> None:
        self._stream, self._copy = stream, copy
        if hasattr(stream, "buffer"):
            self.buffer = _CopiedBytes(stream.buffer, copy)

    def write(self, text: str) -> int:
        """Write to both."""
        self._copy.write(text.encode(errors="backslashreplace"))  # such as the name of a file that is not UTF-8
        self._copy.flush()
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each to both."""
        for line in lines:
            self.write(line)

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
                copy = (directory / f"{socket.gethostname()}_{name}.txt").open("ab")
                setattr(sys, name, CopiedStream(stream, copy))
    except OSError as error:
        raise UserError(
            f"log_dir: {directory} cannot be written: {error.strerror}; choose another directory"
        ) from error
