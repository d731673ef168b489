"""Writes token files, document by document; the pair of files appears whole or not at all."""

from __future__ import annotations

from types import TracebackType

from neox_core.data.token_files.resumable_writer import ResumableWriter


class TokenFileWriter(ResumableWriter):
    """Writes `PREFIX.bin` and `PREFIX.idx`, which get their names at the end of the `with` block.

    When the block raises, nothing is left, and older files stay as they are.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.publish()
        finally:
            self.discard()
