"""The file of bad documents: one line of JSON each, in the input's order."""

from __future__ import annotations

import json
import os
from pathlib import Path

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.feeding import Rejection
from neox_core.data.preparing.inputs import Inputs
from neox_core.data.preparing.readers.ranges import count_lines
from neox_core.data.token_files import WorkingFilesError
from neox_core.files import publish


def place_text(file: str, member: str | None, line: int | None) -> str:
    """A document's place for a message: `FILE:MEMBER:LINE`, of which there may be less."""
    return ":".join(str(part) for part in (file, member, line) if part is not None)


class RejectFile:
    """Writes bad documents beside the final file, which appears when they are published.

    Args:
        path: the final file.
        length: bytes of the working file that are to be kept; what came after is forgotten.

    Raises:
        WorkingFilesError: there are not so many.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self._path = path
        self._working = path.with_name(f".{path.name}.part")
        if length:
            self._require(length)
        self._file = self._working.open("r+b" if length else "wb")
        self._file.truncate(length)
        self._file.seek(length)

    def add(self, file: str, member: str | None, line: int | None, rejection: Rejection) -> None:
        """Append a bad document: its file, the member if that is an archive, its line or row counted from 1."""
        place = {"file": file, "member": member, "line": line}
        told = {name: value for name, value in place.items() if value is not None}
        entry = {**told, "reason": rejection.reason, "text": rejection.text}
        self._file.write(json.dumps(entry).encode() + b"\n")

    def checkpoint(self) -> int:
        """Make durable what was added; its length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def publish(self) -> None:
        """Give the file its name; no bad documents, no file."""
        length = self.checkpoint()
        self.close()
        if length:
            publish(self._working, self._path)
        else:
            self._path.unlink(missing_ok=True)
            self._working.unlink()

    def discard(self) -> None:
        """Remove what was not published."""
        self.close()
        self._working.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the working file, which stays."""
        self._file.close()

    def _require(self, length: int) -> None:
        if not self._working.exists() and self._path.exists() and self._path.stat().st_size == length:
            publish(self._path, self._working)  # an interrupted `publish` had given it its name
        if not self._working.exists() or self._working.stat().st_size < length:
            raise WorkingFilesError(f"{self._working}: what was begun is not there any more; begin again")


class Lines:
    """Numbers of lines in files of which only ranges are read: counted when a bad document asks for one, each byte once."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._known = (0, 0, 0)  # source, byte, lines before it

    def number(self, block: Block, row: int | None) -> int | None:
        """The line or row in its file, counted from 1, of a row of a block."""
        if row is None:
            return None
        return row + 1 + (self._before(block) if block.first_row is None else block.first_row)

    def _before(self, block: Block) -> int:
        source, position, lines = self._known
        if source != block.source or position > block.start:
            source, position, lines = block.source, 0, 0
        lines += count_lines(self._inputs.sources[source], position, block.start)
        self._known = (source, block.start, lines)
        return lines
