"""Files beside a prefix that hold what is being written, until it gets its names."""

from __future__ import annotations

import glob
import os
import re
import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

_BUFFER = 1 << 20  # bytes
_PARTS = ("tokens", "sizes", "documents", "index")


@dataclass(frozen=True, slots=True)
class WorkingPaths:
    """`.NAME.RUN.PART.part` beside a prefix; another run has other names, so that none goes on with what is not its own.

    Args:
        tokens: what becomes `.bin`.
        sizes: tokens in each sequence, int32.
        documents: sequences up to the end of each document, int64.
        index: what becomes `.idx`.
    """

    tokens: Path
    sizes: Path
    documents: Path
    index: Path

    @classmethod
    def of(cls, prefix: str, run: str) -> WorkingPaths:
        """Those of a run."""
        tokens = Path(f"{prefix}.bin")
        return cls(*(tokens.with_name(f".{tokens.stem}.{run}.{part}.part") for part in _PARTS))

    def remove(self) -> None:
        """Remove those that there are."""
        for path in (self.tokens, self.index, self.documents, self.sizes):
            path.unlink(missing_ok=True)


class WorkingFiles:
    """The working files of a run, open for appending.

    Args:
        paths: theirs.
        mode: "xb" for files that are not there yet, "ab" to go on.
    """

    def __init__(self, paths: WorkingPaths, mode: Literal["xb", "ab"]) -> None:
        with ExitStack() as undo:
            self._tokens = undo.enter_context(paths.tokens.open(mode, buffering=_BUFFER))
            self._sizes = undo.enter_context(paths.sizes.open(mode, buffering=_BUFFER))
            self._documents = undo.enter_context(paths.documents.open(mode, buffering=_BUFFER))
            undo.pop_all()

    def append_tokens(self, tokens: npt.NDArray[Any]) -> None:
        """Append ids as they are, contiguous [tokens]."""
        self._tokens.write(tokens.data)

    def append_index(self, sizes: npt.NDArray[np.int32], ends: npt.NDArray[np.int64]) -> None:
        """Append the sizes of sequences, and the ends of documents."""
        self._sizes.write(sizes.tobytes())
        self._documents.write(ends.tobytes())

    def sync(self) -> None:
        """Wait until all of it is on disk."""
        for file in (self._tokens, self._sizes, self._documents):
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close them; what cannot be written any more is lost."""
        for file in (self._tokens, self._sizes, self._documents):
            with suppress(OSError):  # it was never said to be on disk
                file.close()


def fresh_run() -> str:
    """A name for a run that no other has."""
    return secrets.token_hex(6)


def remove_working_files(prefix: str | Path) -> None:
    """Remove what interrupted writers of a prefix left; only for whoever alone writes it."""
    tokens = Path(f"{prefix}.bin")
    name = re.compile(rf"\.{re.escape(tokens.stem)}\.[0-9a-f]{{12}}\.({'|'.join(_PARTS)})\.part")
    for path in tokens.parent.glob(f".{glob.escape(tokens.stem)}.*.part"):
        if name.fullmatch(path.name):
            path.unlink(missing_ok=True)
