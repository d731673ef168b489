"""Arrays that one process makes and all map: made once, found by every later run, and waited for by the other ranks."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from neox_core.data.samples.array_files import ArrayFiles, Arrays
from neox_core.errors import UserError
from neox_core.files import make_directory

_NEWS = 30.0  # seconds between messages while waiting
_LONGEST_PAUSE = 1.0


def _nothing(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Who makes arrays that are missing, and how a process waits for them."""

    builds: bool = True
    """Whether this process makes them: one of those that share the files does."""
    say: Callable[[str], None] = _nothing
    """Gets a sentence when arrays are made, and every 30 s while they are waited for."""
    limit: float = 1800.0
    """Seconds to wait for the process that makes them."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which arrays are wanted, and how they are made."""

    digest: str
    """Tells what they are made from."""
    build: Callable[[], Arrays]
    adopts: Callable[[Arrays], bool] | None = None
    """Whether arrays without a record will do. None: nobody else makes such arrays, so what has no record is unfinished."""


def stored_arrays(files: ArrayFiles, recipe: Recipe, builder: Builder) -> Arrays:
    """The arrays of `recipe`, mapped from `files`, where they are made if need be.

    A whole set that was made from something else is left alone; ours then gets a name with a part of the digest.

    Raises:
        UserError: they cannot be made or written, or did not appear in time.
    """
    search, patience = _Search(files, recipe), _Patience(files, builder)
    while (found := search.recorded()) is None:
        if builder.builds:
            with _lock(files.lock_path) as lock:
                if lock is not _Lock.TAKEN:
                    return _adopted_or_built(search, builder, alone=lock is _Lock.HELD)
        elif (found := search.adopted()) is not None:
            return found
        patience.wait()
    return found


def _adopted_or_built(search: _Search, builder: Builder, *, alone: bool) -> Arrays:
    """What others have finished meanwhile, or arrays without a record, or those made here; `alone`: nobody else makes any."""
    if (found := search.recorded()) is not None:
        return found
    if alone:
        search.remove_leftovers()
    if (found := search.adopted()) is not None:
        with suppress(UserError):  # without a record they are checked again in every run
            search.files.write_record(search.recipe.digest)
        return found
    return _built(search.place(), search.recipe, builder)


def _built(files: ArrayFiles, recipe: Recipe, builder: Builder) -> Arrays:
    builder.say(f"Making {files.base}_*.npy")
    arrays = recipe.build()
    try:
        files.write(arrays, recipe.digest)
    except OSError as error:
        raise UserError(f"{files.base}_*.npy cannot be written: {error}. {_ELSEWHERE}") from error
    except UserError as error:
        raise UserError(f"{error} {_ELSEWHERE}") from error
    return files.load(files.record()) or arrays


_ELSEWHERE = "The setting data_cache_path names a directory for the indices of all data."


@dataclass(slots=True)
class _Search:
    """Looks for the arrays: under the plain name, and apart from somebody else's that have it."""

    files: ArrayFiles
    recipe: Recipe
    rejected: set[object] = field(default_factory=set)

    @property
    def apart(self) -> ArrayFiles:
        """The set beside one that was made from something else."""
        return self.files.apart(self.recipe.digest)

    def recorded(self) -> Arrays | None:
        """Arrays whose record says that they are those."""
        for files in (self.files, self.apart):
            record = files.record()
            if record and record.digest == self.recipe.digest and (arrays := files.load(record)):
                return arrays
        return None

    def adopted(self) -> Arrays | None:
        """Arrays without a record that will do. They are checked once, and again when they have changed."""
        signature = self.files.signature()
        if not self.recipe.adopts or self.files.record() or signature is None or signature in self.rejected:
            return None
        arrays = self.files.load()
        if arrays is not None and self.recipe.adopts(arrays):
            return arrays
        self.rejected.add(signature)
        return None

    def place(self) -> ArrayFiles:
        """Where to write: where nobody else's whole set is."""
        record = self.files.record()
        if record is None:
            theirs = self.recipe.adopts is not None and self.files.load() is not None
        else:
            theirs = record.digest != self.recipe.digest
        return self.apart if theirs else self.files

    def remove_leftovers(self) -> None:
        """Remove what killed processes left unfinished."""
        self.files.remove_leftovers()
        self.apart.remove_leftovers()


@dataclass(slots=True)
class _Patience:
    """Waits for files that another process makes."""

    files: ArrayFiles
    builder: Builder
    start: float = field(default_factory=time.monotonic)
    pause: float = 0.01
    messages: int = 0

    def wait(self) -> None:
        """Pause; raises `UserError` when the limit is reached."""
        waited = time.monotonic() - self.start
        if waited >= self.builder.limit:
            raise UserError(self._given_up(waited))
        if waited >= (self.messages + 1) * _NEWS:
            self.builder.say(f"Waiting for {self.files.record_path}, which another process makes, for {waited:.0f} s")
            self.messages += 1
        time.sleep(self.pause)
        self.pause = min(2 * self.pause, _LONGEST_PAUSE)

    def _given_up(self, waited: float) -> str:
        if self.builder.builds:
            return (
                f"Another process has held the lock {self.files.lock_path} for {waited:.0f} s and has not made the index. "
                "End that process, or choose another directory by data_cache_path."
            )
        return (
            f"{self.files.record_path} did not appear in {waited:.0f} s: the rank that makes it has ended or is still at work, or "
            "this host does not see its files. Look at the log of rank 0; where hosts do not share files, set "
            "use_shared_fs: false, so that each makes its own."
        )


class _Lock(Enum):
    HELD = "held by this process"
    TAKEN = "held by another"
    NONE = "there can be none here"


@contextmanager
def _lock(path: Path) -> Iterator[_Lock]:
    """Hold the lock in the block, if it is free; the kernel frees it when this process ends, however it does.

    Where there can be no lock it is gone without: whoever builds, builds the same, and publishes it in one step.
    """
    try:
        make_directory(path.parent)
        stream = path.open("ab")
    except OSError:
        yield _Lock.NONE
        return
    with stream:
        lock = _locked(stream, path)
        try:
            yield lock
        finally:
            if lock is _Lock.HELD:
                path.unlink()


def _locked(stream: BinaryIO, path: Path) -> _Lock:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_current = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return _Lock.TAKEN
    except OSError:
        return _Lock.NONE
    return _Lock.HELD if is_current else _Lock.TAKEN  # else the one before has removed it since it was opened
