"""Where the output of processes goes: the log file of each, and our own terminal for the one that speaks for the run."""

from __future__ import annotations

import os
import shutil
import sys
from collections import deque
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path
from typing import TextIO

CHUNK = 1 << 16  # bytes read at a time, and the longest line that is held back until its end
CLEAR = b"\x1b[K"
"""What a live line is redrawn with, after a carriage return: the terminal forgets what stood there, and so does a log."""

TAIL_LINES = 20


class Log:
    """The whole lines that a process wrote, without live text: appended to a file where there is one, the last of them kept.

    A file that can no longer be written, as on a full disk, is given up and told of once: the process goes on.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.tail: deque[bytes] = deque(maxlen=TAIL_LINES)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = None if path is None else path.open("ab", buffering=0)

    def add(self, line: bytes) -> None:
        """Append a line, given without its end; of one that was redrawn in place, what stood there last."""
        line = line.rpartition(CLEAR)[2]
        self.tail.append(line)
        if self._file is None:
            return
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            self.close()
            self._file = None
            Screen().say(f"note: {self.path}: {error.strerror}: the rest of this log is lost".encode())

    def close(self) -> None:
        """Close the file; the tail stays."""
        if self._file is not None:
            self._file.close()


class Stream:
    """One pipe from a process: every byte is shown as it comes, where it is shown at all, and every line goes to the log."""

    def __init__(self, pipe: RawIOBase, log: Log, show: Callable[[bytes], None] | None = None) -> None:
        os.set_blocking(pipe.fileno(), False)
        self.pipe = pipe
        self._log = log
        self._show = show
        self._line = b""

    def pump(self) -> bool:
        """Pass on one chunk of what has come. False at the end of the stream."""
        chunk = self.pipe.read(CHUNK)
        if chunk:
            self._take(chunk)
        return chunk != b""

    def drain(self) -> None:
        """Pass on all that has come, without waiting for more: whoever still holds the other end may never close it."""
        while chunk := self.pipe.read(CHUNK):
            self._take(chunk)

    def close(self) -> None:
        """Drain the stream and end its last line."""
        self.drain()
        if self._line:
            self._log.add(self._line)
        self.pipe.close()

    def _take(self, chunk: bytes) -> None:
        if self._show is not None:
            self._show(chunk)
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._log.add(line)
        self._line = self._line[max(self._line.rfind(CLEAR), 0) :]
        if len(self._line) > CHUNK:
            self._log.add(self._line)
            self._line = b""


class Screen:
    """Our own standard output and error, written in bytes. `columns` is the terminal's width, None where there is no terminal."""

    def __init__(self) -> None:
        self.columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._within_line = False
        sys.stdout.flush()
        sys.stderr.flush()

    def out(self, chunk: bytes) -> None:
        """Show bytes on standard output."""
        self._write(sys.stdout, chunk)

    def err(self, chunk: bytes) -> None:
        """Show bytes on standard error."""
        self._write(sys.stderr, chunk)

    def say(self, *lines: bytes) -> None:
        """Write lines of our own to standard error, on a new line when a process left one unfinished."""
        before = b"\n" if self._within_line else b""
        self.err(before + b"".join(line + b"\n" for line in lines))

    def _write(self, stream: TextIO, chunk: bytes) -> None:
        self._within_line = not chunk.endswith((b"\n", CLEAR))
        try:
            stream.buffer.write(chunk)
            stream.buffer.flush()
        except OSError:
            # Whoever read our output has left (`| head`, a closed terminal): a run of days goes on, and its logs are whole.
            _silence(stream)


def _silence(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
