"""Checkpoints at URLs, for the verbs that look at checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from neox_core.checkpoint.remote import (
    Facts,
    RemoteCheckpoint,
    Store,
    StoreOptions,
    below,
    checked,
    in_parallel,
    newest_first,
    open_home,
    remote_checkpoint,
    steadily,
)
from neox_core.checkpoint.remote.places import folders
from neox_core.config.presets import LATEST
from neox_core.errors import UserError
from neox_core.plugins import CommandContext


def away(store: Store) -> dict[int, str]:
    """Folders of a store that are called like checkpoints, by rising iteration.

    Raises:
        UserError: there is none.
    """
    found = folders(store)
    if not found:
        raise UserError(f"{store.url} holds no folder global_step...; give one to which checkpoints were copied")
    return found


def latest_away(store: Store) -> str:
    """The folder that `latest` in a store names; empty where there is no such file."""
    found = store.stat(LATEST)
    text = b"".join(store.read(LATEST, 0, found.size)) if found is not None else b""
    return text.decode(errors="replace").strip()


def facts_of(url: str, context: CommandContext) -> Facts:
    """The small files of the checkpoint at a URL, or of the newest one there."""
    return Facts(remote_checkpoint(url, context.plugins))


def meant_away(url: str, context: CommandContext) -> list[RemoteCheckpoint]:
    """The checkpoint at a URL, or all complete ones of a directory, the oldest first."""
    found = remote_checkpoint(url, context.plugins)
    if found.url == checked(url):
        return [found]
    return [*newest_first(open_home(url, context.plugins))][::-1]


def problems_away(checkpoint: RemoteCheckpoint) -> Iterator[str]:
    """Everything that is wrong with the files of a remote checkpoint, a sentence each; all of them are read, and none is kept."""
    missing = checkpoint.missing()
    yield from (f"{below(checkpoint.url, name)} is damaged: {difference}" for name, difference in missing.items())

    def read(name: str) -> str | None:
        record, digest = checkpoint.manifest.files[name], hashlib.sha256()
        try:
            for block in steadily(checkpoint.store, checkpoint.at(name), 0, record.size):
                digest.update(block)
        except UserError as error:
            return str(error)
        return (
            None
            if digest.hexdigest() == record.sha256
            else f"{below(checkpoint.url, name)} is damaged: its sha256 is not what was written"
        )

    sound = [name for name in checkpoint.manifest.files if name not in missing]
    yield from filter(None, in_parallel(read, sound, StoreOptions().threads))
