"""Which checkpoints lie in a store, and what they consist of; nothing but small files is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from neox_core.checkpoint.layout import PER_RANK, iteration_of
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest, RenamedCheckpoint
from neox_core.checkpoint.remote.ranges import steadily
from neox_core.checkpoint.remote.store import Store, StoreError
from neox_core.checkpoint.remote.urls import below
from neox_core.config.presets import ELSEWHERE, MANIFEST
from neox_core.errors import UserError


@dataclass(frozen=True, eq=False)
class RemoteCheckpoint:
    """A complete checkpoint in a store.

    Args:
        store: the directory of checkpoints that it is in.
        folder: its name there.
    """

    store: Store
    folder: str

    @property
    def url(self) -> str:
        """Where it is."""
        return below(self.store.url, self.folder)

    @property
    def iteration(self) -> int:
        """The step that its name has."""
        return iteration_of(self.folder) or 0

    @cached_property
    def manifest_text(self) -> bytes:
        """The manifest as it lies there.

        Raises:
            StoreError: it cannot be read.
            UserError: it is absent.
        """
        found = self.store.stat(self.at(MANIFEST))
        if found is None:
            raise UserError(f"{self.url}: there is no such checkpoint, or it is not complete")
        return b"".join(steadily(self.store, self.at(MANIFEST), 0, found.size))

    @cached_property
    def manifest(self) -> Manifest:
        """What it consists of.

        Raises:
            RenamedCheckpoint: the folder is called like the checkpoint of another step.
            UserError: the manifest is damaged, or of a newer version.
        """
        with tempfile.TemporaryDirectory(prefix="neox-") as directory:
            path = Path(directory) / self.folder
            path.mkdir()
            (path / MANIFEST).write_bytes(self.manifest_text)
            try:
                manifest = Manifest.read(path)
            except DamagedCheckpoint as error:
                raise UserError(
                    f"{self.url} is damaged: its manifest is not what was written; take another one"
                ) from error
            except RenamedCheckpoint as error:
                raise RenamedCheckpoint(self.url, error.iteration) from error
            except UserError as error:
                raise UserError(str(error).replace(str(path), self.url)) from error
        for name in manifest.files:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or name == MANIFEST:
                raise UserError(f"{self.url}: its manifest names the file '{name}', which is not in it; it is not read")
        return manifest

    def at(self, name: str) -> str:
        """The name in the store of one of its files."""
        return f"{self.folder}/{name}"

    def missing(self) -> dict[str, str]:
        """Its files that are absent or not as long as they were, each with a clause that says so."""
        there = {stored.name: stored.size for stored in self.store.list(self.folder)}
        found = {name: there.get(self.at(name)) for name in self.manifest.files}
        return {
            name: f"expected {record.size} bytes, found "
            + ("no file" if found[name] is None else f"{found[name]} bytes")
            for name, record in self.manifest.files.items()
            if found[name] != record.size
        }

    def check(self) -> None:
        """Raise a UserError unless all its files are there, as long as they were."""
        for name, difference in self.missing().items():
            raise UserError(
                f"{below(self.url, name)} is damaged: {difference}; take another checkpoint, by `iteration`"
            )


class Facts:
    """A directory with the small files of a remote checkpoint, as long as this object lives: what there is to know of it.

    Args:
        checkpoint: it.

    Raises:
        UserError: it cannot be read.
    """

    def __init__(self, checkpoint: RemoteCheckpoint) -> None:
        self.checkpoint = checkpoint
        self._directory = tempfile.TemporaryDirectory(prefix="neox-")
        self.path = Path(self._directory.name) / checkpoint.folder
        self.path.mkdir()
        for name, record in checkpoint.manifest.files.items():
            if not name.startswith(PER_RANK):
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                blocks = steadily(checkpoint.store, checkpoint.at(name), 0, record.size)
                (self.path / name).write_bytes(b"".join(blocks))
        (self.path / MANIFEST).write_bytes(checkpoint.manifest_text)
        (self.path / ELSEWHERE).write_text(checkpoint.url, encoding="utf-8")

    def spoken(self, text: str) -> str:
        """A sentence about the directory as one about the URL."""
        return text.replace(str(self.path), self.checkpoint.url)


def folders(store: Store) -> dict[int, str]:
    """Folders that are called like checkpoints, by rising iteration, complete or not."""
    found = {iteration: name for name in store.folders() if (iteration := iteration_of(name)) is not None}
    return dict(sorted(found.items()))


def is_complete(store: Store, folder: str) -> bool:
    """Whether there is a manifest in a folder."""
    return store.stat(f"{folder}/{MANIFEST}") is not None


def is_renamed(store: Store, folder: str) -> bool:
    """Whether a complete checkpoint has the name of another step.

    Raises:
        StoreError: the store fails.
    """
    try:
        _ = RemoteCheckpoint(store, folder).manifest
    except RenamedCheckpoint:
        return True
    except StoreError:
        raise
    except UserError:
        pass  # which is told where it is read
    return False


def newest_first(store: Store) -> Iterator[RemoteCheckpoint]:
    """The complete checkpoints of a store."""
    for folder in reversed(folders(store).values()):
        if is_complete(store, folder):
            yield RemoteCheckpoint(store, folder)


def find_remote(store: Store, iteration: int | None = None) -> RemoteCheckpoint | None:
    """The complete checkpoint of an iteration, or the newest; None: there is none.

    Raises:
        StoreError: the store does not answer.
    """
    if iteration is None:
        return next(newest_first(store), None)
    folder = f"global_step{iteration}"
    return RemoteCheckpoint(store, folder) if is_complete(store, folder) else None
