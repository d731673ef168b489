"""Copying a complete checkpoint to a store: its files, then its manifest, which makes it complete there, then `latest`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from neox_core.checkpoint.layout import iteration_of
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.remote.parallel import in_parallel
from neox_core.checkpoint.remote.places import RemoteCheckpoint, folders, is_complete, is_renamed
from neox_core.checkpoint.remote.source_file import SourceFile
from neox_core.checkpoint.remote.store import Given, Store, StoreError, StoreOptions
from neox_core.checkpoint.remote.urls import below
from neox_core.checkpoint.search import require_complete
from neox_core.config.presets import LATEST, MANIFEST
from neox_core.errors import UserError

SMALL = 8 << 20
"""Bytes of a file that is sent beside others; the parts of larger ones are sent beside each other."""

HELD = 256
"""Files of a checkpoint that are held open at most, the largest: systems count what is open. Ranks have few; who copies for
a thousand of them opens the others when their turn comes."""


CLAIM = ".copying"
"""An object in a checkpoint that is being copied, which says what is: the digest of its manifest, which is not there yet."""


class OpenCheckpoint:
    """A complete checkpoint whose files are held open, so that all of it stays readable though it is deleted; a context manager.

    Args:
        path: it.
        wanted: which of its files are to be copied, by name.

    Raises:
        UserError: it is not complete, or damaged.
    """

    def __init__(self, path: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
        require_complete(path)
        self.path, self.folder = path, path.name
        try:
            self.manifest_text = (path / MANIFEST).read_bytes()
            self.manifest = Manifest.read(path)
        except OSError as error:
            raise UserError(f"{path / MANIFEST} cannot be read: {error.strerror}; was it deleted meanwhile?") from error
        self.names = [name for name in self.manifest.files if wanted(name)]
        self._sources: dict[str, SourceFile] = {}
        with ExitStack() as opened:
            for name in sorted(self.names, key=lambda name: -self.manifest.files[name].size)[:HELD]:
                self._sources[name] = opened.enter_context(self._open(name))
            self._opened = opened.pop_all()

    def _open(self, name: str) -> SourceFile:
        return SourceFile(self.path / name, self.manifest.files[name])

    @contextmanager
    def source(self, name: str) -> Iterator[SourceFile]:
        """One of the files that are to be copied.

        Raises:
            UserError: it is not held, and cannot be opened, or is damaged.
        """
        if name in self._sources:
            yield self._sources[name]
        else:
            with self._open(name) as source:
                yield source

    @property
    def iteration(self) -> int:
        """The step after which it was saved."""
        return self.manifest.iteration

    @property
    def digest(self) -> str:
        """By which it is known from any other."""
        return hashlib.sha256(self.manifest_text).hexdigest()

    def close(self) -> None:
        """Let go of the files."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Push:
    """Copying one checkpoint to one store.

    Args:
        store: a directory of checkpoints.
        checkpoint: to be copied; its name there is that which it has here.
        options: how many requests are under way at once.
        stopped: asked again and again, by any thread, whether to give up.
        tell: told of each file that has been copied its name and size.
    """

    def __init__(
        self,
        store: Store,
        checkpoint: OpenCheckpoint,
        options: StoreOptions,
        *,
        stopped: Callable[[], bool] = lambda: False,
        tell: Callable[[str, int], None] = lambda name, size: None,
    ) -> None:
        self._store, self._checkpoint, self._options = store, checkpoint, options
        self._stopped, self._tell = stopped, tell
        self._remote = RemoteCheckpoint(store, checkpoint.folder)

    @property
    def url(self) -> str:
        """Where it goes."""
        return self._remote.url

    def check(self) -> bool:
        """Whether the checkpoint is complete there already.

        Raises:
            StoreError: another one of this name is.
        """
        if not is_complete(self._store, self._checkpoint.folder):
            return False
        if RemoteCheckpoint(self._store, self._checkpoint.folder).manifest_text != self._checkpoint.manifest_text:
            raise StoreError(
                f"{self.url}: another checkpoint of this name lies there, that of another run, and is not replaced; choose another "
                "place, or remove it there",
                lasting=True,
            )
        return not self._remote.missing()

    def require_none_later(self) -> None:
        """Raise a StoreError if there are later complete checkpoints: a restart would take those up."""
        later = [
            name
            for iteration, name in folders(self._store).items()
            if iteration > self._checkpoint.iteration and is_complete(self._store, name)
        ]
        if later:
            raise StoreError(
                f"{self._store.url}: holds checkpoints later than iteration {self._checkpoint.iteration}, where this run is: "
                f"{', '.join(later)}; a restart would take those up. Choose another s3_path, or remove them there",
                lasting=True,
            )

    def claim(self) -> None:
        """Say that this checkpoint is copied from now on: whoever copies another one of its name does not complete that.

        Raises:
            StoreError: another one of its name has been completed meanwhile; or the store fails.
        """
        self._store.folders()  # fails where there is no such bucket; some stores make one where something is written
        self._store.write(self._remote.at(CLAIM), self._checkpoint.digest.encode())
        try:
            self.check()  # it may have been completed before the claim was there
        except StoreError:
            self._unclaim()
            raise

    def _unclaim(self) -> None:
        with suppress(StoreError):  # what is left of it does no harm
            self._store.delete(self._remote.at(CLAIM))

    def _require_claim(self) -> None:
        """Raise a StoreError where another checkpoint of this name is being copied: its files may lie where those of this did."""
        name = self._remote.at(CLAIM)
        found = self._store.stat(name)
        said = b"" if found is None else b"".join(self._store.read(name, 0, found.size))
        if said != self._checkpoint.digest.encode() and not self.check():
            raise StoreError(
                f"{self.url}: another run copies a checkpoint of this name there; let each run have an s3_path, or a last part of "
                "save, of its own",
                lasting=True,
            )

    def files(self) -> int:
        """Copy the files, as far as they are not there; bytes that were sent.

        Raises:
            Given: `stopped` said so.
            StoreError: the store fails.
            UserError: a file here is damaged.
        """
        there = {stored.name: stored.size for stored in self._store.list(self._checkpoint.folder)}
        names, files = self._checkpoint.names, self._checkpoint.manifest.files
        small = [name for name in names if files[name].size <= SMALL]
        large = [name for name in names if files[name].size > SMALL]
        sent = in_parallel(lambda name: self._file(name, there), small, self._options.threads)
        return sum(sent) + sum(self._file(name, there) for name in large)

    def _file(self, name: str, there: dict[str, int]) -> int:
        if self._stopped():
            raise Given
        record, at, sent = self._checkpoint.manifest.files[name], self._remote.at(name), 0
        found = self._store.stat(at) if there.get(at) == record.size else None
        if found is None or (found.size, found.sha256) != (record.size, record.sha256):
            with self._checkpoint.source(name) as source:
                sent = self._store.upload(at, source, self._stopped)
        self._tell(name, record.size)
        return sent

    def commit(self) -> None:
        """Write the manifest, and `latest` where no later checkpoint is there.

        Raises:
            StoreError: not all files are there as they must be, or the store fails.
        """
        in_parallel(self._require, self._checkpoint.manifest.files, self._options.threads)
        self._require_claim()
        text = self._checkpoint.manifest_text
        if self._stopped():
            raise Given
        self._store.write(self._remote.at(MANIFEST), text)
        if RemoteCheckpoint(self._store, self._checkpoint.folder).manifest_text != text:
            self._store.delete(self._remote.at(MANIFEST))
            raise StoreError(
                f"{below(self.url, MANIFEST)}: what the store keeps is not what was sent; it was removed there"
            )
        self._unclaim()
        point_latest(self._store, self._checkpoint.folder)

    def _require(self, name: str) -> None:
        """Raise a StoreError unless a file is there, of this content as far as the store knows: another run may have written there."""
        record, found = self._checkpoint.manifest.files[name], self._store.stat(self._remote.at(name))
        if found is None or found.size != record.size or found.sha256 not in (None, record.sha256):
            raise StoreError(
                f"{below(self.url, name)}: is not there as it was sent; it is sent again if copying is repeated"
            )


def point_latest(store: Store, folder: str) -> None:
    """Let `latest` in a store name a checkpoint that is complete there, unless a later one is, with the name that it was given."""
    later = (name for name in reversed(folders(store).values()) if is_complete(store, name))
    newest = next((name for name in later if not is_renamed(store, name)), folder)
    store.write(LATEST, f"{newest}\n".encode())


def push(
    path: Path, store: Store, options: StoreOptions, *, tell: Callable[[str, int], None] = lambda name, size: None
) -> int:
    """Copy one complete checkpoint to a store, as far as it is not there; bytes that were sent.

    Raises:
        UserError: it is damaged, another one of its name is there, or the store fails.
    """
    require_name(path)
    with OpenCheckpoint(path) as checkpoint:
        work = Push(store, checkpoint, options, tell=tell)
        if work.check():
            point_latest(store, checkpoint.folder)
            return 0
        work.claim()
        sent = work.files()
        work.commit()
        return sent


def prune_remote(store: Store, iteration: int, keep_last: int) -> list[str]:
    """Delete what lies in a store before a checkpoint that is complete there, but for the newest complete ones; what was deleted.

    What has the name of another step is not counted, and left alone.

    Args:
        store: a directory of checkpoints.
        iteration: of the checkpoint. Neither it nor anything later is touched.
        keep_last: how many complete ones to keep, that one counted.
    """
    before = {number: name for number, name in folders(store).items() if number < iteration}
    complete = [number for number, name in before.items() if is_complete(store, name)]
    renamed = {number for number in complete if is_renamed(store, before[number])}
    counted = [number for number in complete if number not in renamed]
    kept = renamed.union(counted[max(0, len(counted) - (keep_last - 1)) :])
    doomed = [name for number, name in before.items() if number not in kept]
    return [name for name in doomed if remove_remote(store, name)]


def remove_remote(store: Store, folder: str) -> bool:
    """Delete a checkpoint in a store, its manifest first: what is left of it if that is cut short is not complete.

    Returns:
        Whether there was anything; some stores go on naming folders that are empty.
    """
    names = [stored.name for stored in store.list(folder)]
    if f"{folder}/{MANIFEST}" in names:
        store.delete(f"{folder}/{MANIFEST}")
    try:
        store.forget_uploads(folder)
    finally:  # what a store refuses to do about uploads keeps no file there
        for name in names:
            store.delete(name)
    return bool(names)


def require_name(path: Path) -> None:
    """Raise a UserError unless a path is called like a checkpoint: others are not found again."""
    if iteration_of(path.name) is None:
        raise UserError(f"{path}: a checkpoint that is copied must be called global_step and a number; rename it")
