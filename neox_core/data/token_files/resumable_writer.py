"""A writer of token files that can go on after an interruption."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.index_writing import write_index
from neox_core.data.token_files.layout import Format
from neox_core.data.token_files.locking import PrefixLock
from neox_core.data.token_files.token_ids import token_ids
from neox_core.data.token_files.working_files import WorkingFiles, WorkingPaths, fresh_run, remove_working_files
from neox_core.errors import UserError
from neox_core.files import publish, sync_directory

_SIZE, _END = 4, 8  # bytes of an entry


@dataclass(frozen=True, slots=True)
class State:
    """How far a writer is: all that it needs to go on. `dataclasses.asdict` makes JSON of it, `State(**data)` reads that.

    Args:
        run: which working files they are.
        impl: `mmap` or `cached`.
        dtype: element type.
        sequences: sequences written.
        documents: documents written.
        tokens: tokens written.
    """

    run: str
    impl: str
    dtype: str
    sequences: int = 0
    documents: int = 0
    tokens: int = 0


class WorkingFilesError(UserError):
    """A writer cannot go on from a `State`: its working files are gone, or hold something else. The work has to begin again."""


class ResumableWriter:
    """Writes `PREFIX.bin` and `PREFIX.idx` by way of working files beside them, which stay when it is closed.

    A context manager. `checkpoint` makes durable all that was added and returns a `State`; a writer that is made with a state goes on
    there, and what was added later is forgotten. `finish` gives the files their names: a reader finds the older pair, none, or the
    whole of this one.

    Args:
        prefix: of the files; the directory must exist.
        dtype: element type of the tokens.
        impl: the format, `mmap` or `cached`.
        state: where to go on; without it, what interrupted writers of the prefix left is removed.

    Raises:
        WorkingFilesError: the working files of `state` are not there.
        UserError: another writer has this prefix, or the file system refuses.
    """

    def __init__(
        self, prefix: str | Path, dtype: npt.DTypeLike, impl: Format = "mmap", state: State | None = None
    ) -> None:
        self.prefix = str(prefix)
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._tokens_path, self._index_path = Path(f"{prefix}.bin"), Path(f"{prefix}.idx")
        self._run = fresh_run() if state is None else state.run
        self._paths = WorkingPaths.of(self.prefix, self._run)
        self.impl: Format = impl
        self.sequences = self.documents = self.tokens = 0
        with refusals_told(self.prefix), ExitStack() as undo:
            self._lock = PrefixLock(self.prefix)
            undo.callback(self._lock.release)
            self._files = self._begin() if state is None else self._go_on(state)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        """How far it is, on disk or not."""
        return State(self._run, self.impl, self.dtype.name, self.sequences, self.documents, self.tokens)

    def add(self, *sequences: npt.ArrayLike) -> None:
        """Append one document: sequences of token ids, [tokens] each.

        Raises:
            UserError: an id does not fit the element type, a sequence is too long, or the file system refuses.
        """
        where = f"{self.prefix}: document {self.documents}"
        arrays = [token_ids(sequence, self.dtype, where) for sequence in sequences]
        sizes = np.array([len(array) for array in arrays], "<i4")
        self.extend(arrays, sizes, np.array([len(arrays)], "<i8"))

    def extend(
        self, pieces: Iterable[npt.NDArray[Any]], sizes: npt.NDArray[np.int32], ends: npt.NDArray[np.int64]
    ) -> None:
        """Append documents.

        Args:
            pieces: their tokens one after the other, in arrays of this writer's element type.
            sizes: tokens in each sequence, int32 [sequences].
            ends: sequences up to the end of each document, from the first of these, int64 [documents].

        Raises:
            UserError: the file system refuses.
        """
        with refusals_told(self.prefix):
            for piece in pieces:
                self._files.append_tokens(piece)
                self.tokens += len(piece)
            self._files.append_index(sizes, ends + self.sequences)
        self.sequences += len(sizes)
        self.documents += len(ends)

    def checkpoint(self) -> State:
        """Make durable what was added, and say how far that is. Raises `UserError` when the file system refuses."""
        with refusals_told(self.prefix):
            self._files.sync()
        return self.state

    def finish(self) -> None:
        """Give the files their names, and remove the working files. Raises `UserError` when the file system refuses."""
        self.publish()
        self.discard()

    def publish(self) -> None:
        """Give the files their names, and keep what is left of the working files.

        As long as they are there, a writer can be made with the last state and publish again, whatever an interruption has left
        undone. Whoever keeps that state forgets it between this and `discard`.

        Raises:
            UserError: the file system refuses.
        """
        self.checkpoint()
        with refusals_told(self.prefix):
            if self._paths.tokens.exists():
                self._write_index()
                # The index is what makes a pair readable: gone before the tokens change, back when they are in place.
                self._remove_index()
                publish(self._paths.tokens, self._tokens_path)
            if self._paths.index.exists():
                publish(self._paths.index, self._index_path)

    def close(self) -> None:
        """Let go of the prefix; the working files stay."""
        self._files.close()
        self._lock.release()

    def discard(self) -> None:
        """Remove the working files, and let go of the prefix."""
        with suppress(OSError):  # they do no harm, and what led here may be an error to report
            self._paths.remove()
        self.close()

    def _begin(self) -> WorkingFiles:
        remove_working_files(self.prefix)
        return WorkingFiles(self._paths, "xb")

    def _go_on(self, state: State) -> WorkingFiles:
        if (state.impl, state.dtype) != (self.impl, self.dtype.name):
            begun, asked = f"{state.impl} files of {state.dtype}", f"{self.impl} files of {self.dtype.name}"
            raise WorkingFilesError(f"{self.prefix}: {begun} were begun here, and {asked} are asked for; begin again")
        self.sequences, self.documents, self.tokens = state.sequences, state.documents, state.tokens
        tokens = {self._paths.tokens: self.tokens * self.dtype.itemsize}
        index = {self._paths.sizes: _SIZE * self.sequences, self._paths.documents: _END * self.documents}
        _require(index)
        if not self._paths.tokens.exists() and _length(self._tokens_path) == tokens[self._paths.tokens]:
            self._take_back()
        _require(tokens)
        for path, length in (tokens | index).items():
            os.truncate(path, length)
        return WorkingFiles(self._paths, "ab")

    def _take_back(self) -> None:
        """Undo what an interrupted `publish` did: the tokens have lost their working name, which only that takes away."""
        self._remove_index()
        publish(self._tokens_path, self._paths.tokens)

    def _remove_index(self) -> None:
        if self._index_path.exists():
            self._index_path.unlink()
            sync_directory(self._index_path.parent)

    def _write_index(self) -> None:
        sizes, ends = _mapped(self._paths.sizes, "<i4"), _mapped(self._paths.documents, "<i8")
        with self._paths.index.open("wb") as file:
            write_index(file, self.impl, self.dtype, sizes, ends)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def refusals_told(prefix: str) -> Iterator[None]:
    """In the block, what the file system refuses is told as a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{prefix}: the token files cannot be written ({error.strerror}). Free space or mend the permissions there, or choose "
            "another prefix, in a directory that exists."
        ) from error


def _require(lengths: Mapping[Path, int]) -> None:
    """Raises `WorkingFilesError` when a file has not the bytes that a state says."""
    for path, length in lengths.items():
        if _length(path) < length:
            raise WorkingFilesError(f"{path}: what was begun is not there any more; begin again")


def _length(path: Path) -> int:
    """Bytes of a file; -1 where there is none."""
    return path.stat().st_size if path.exists() else -1


def _mapped(path: Path, dtype: str) -> npt.NDArray[Any]:
    return np.memmap(path, dtype, mode="r") if _length(path) else np.empty(0, dtype)
