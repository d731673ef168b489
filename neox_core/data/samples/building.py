"""Arrays that one process makes and all map: made once, found by every later run, and waited for by the other ranks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from neox_core.data.samples.array_files import ArrayFiles, Arrays
from neox_core.data.samples.array_search import ArraySearch, Recipe
from neox_core.data.samples.file_lock import locked
from neox_core.errors import UserError
from neox_core.file_locks import Lock

_QUIET = 5.0  # seconds in which nothing is said of making arrays
_NEWS = 30.0  # seconds between messages while waiting
_LONGEST_PAUSE = 1.0
_ELSEWHERE = "The setting data_cache_path names a directory for the indices of all data."


def _nothing(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Who makes arrays that are missing, and how a process waits for them."""

    builds: bool = True
    """Whether this process makes them: one of those that share the files does."""
    say: Callable[[str], None] = _nothing
    """Gets a sentence when making arrays takes long, and every 30 s while they are waited for."""
    limit: float = 1800.0
    """Seconds to wait for the process that makes them."""


def stored_arrays(files: ArrayFiles, recipe: Recipe, builder: Builder) -> Arrays:
    """The arrays of `recipe`, mapped from `files`, where they are made if need be.

    A whole set that was made from something else is left alone; ours then gets a name with a part of the digest.

    Raises:
        UserError: they cannot be made or written, or did not appear in time.
    """
    search, patience = ArraySearch(files, recipe), _Patience(files, builder)
    while (found := search.recorded()) is None:
        if builder.builds:
            with locked(files.lock_path) as lock:
                if lock in (Lock.HELD, Lock.NONE):
                    return _adopted_or_built(search, builder, alone=lock is Lock.HELD)
        elif (found := search.adopted()) is not None:
            return found
        patience.wait()
    return found


def _adopted_or_built(search: ArraySearch, builder: Builder, *, alone: bool) -> Arrays:
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


@contextmanager
def _told(builder: Builder, sentence: str) -> Iterator[None]:
    """Say what is done, where it takes so long that somebody may wonder."""
    timer = threading.Timer(_QUIET, builder.say, [sentence])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _built(files: ArrayFiles, recipe: Recipe, builder: Builder) -> Arrays:
    with _told(builder, f"making {files.base}_*.npy, which runs with the same data will find"):
        arrays = recipe.build()
    try:
        files.write(arrays, recipe.digest)
    except OSError as error:
        raise UserError(f"{files.base}_*.npy cannot be written: {error}. {_ELSEWHERE}") from error
    except UserError as error:
        raise UserError(f"{error} {_ELSEWHERE}") from error
    return files.load(files.record()) or arrays


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
