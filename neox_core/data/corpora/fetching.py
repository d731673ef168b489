"""Fetches items into a data directory, and says what of them is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from neox_core.data.corpora.download import Download, Observer, Silence, Unavailable
from neox_core.data.corpora.items import Item, RemoteFile, file_digest
from neox_core.data.corpora.listings import file_address, keep_listing, kept_listing, list_files, listing_path
from neox_core.data.corpora.records import (
    Record,
    State,
    full_state,
    quick_state,
    read_record,
    write_record,
)
from neox_core.data.corpora.retries import Retries
from neox_core.data.corpora.transfer import Interrupted, Refused
from neox_core.errors import UserError


@dataclass(frozen=True, slots=True)
class Held:
    """A file of an item: where it is, or would be, and what there is of it; `fetched` says that it came just now."""

    file: RemoteFile
    path: Path
    state: State
    fetched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where items are fetched to and from.

    Args:
        data_dir: the directory that has each item's directory.
        mirror: an address below which everything lies as it does below a data directory; None for the items' own addresses.
        force: whether what is there is fetched again.
        retries: how often an address is asked again.
        observer: is told how it goes.
    """

    data_dir: Path
    mirror: str | None = None
    force: bool = False
    retries: Retries = field(default_factory=Retries)
    observer: Observer = field(default_factory=Silence)

    def directory(self, item: Item) -> Path:
        """Where an item's files lie."""
        return self.data_dir / item.directory

    def path(self, item: Item, file: RemoteFile) -> Path:
        """Where a file lies."""
        return self.directory(item) / file.name

    def bases(self, item: Item) -> list[str]:
        """The addresses that have an item's files."""
        if self.mirror is None:
            return list(item.base)
        return [file_address(self.mirror.rstrip("/") + "/", f"{item.directory}/" if item.directory else "")]


def fetch(item: Item, place: Place) -> list[Held]:
    """Fetch what is missing of an item. What an earlier call left unfinished is gone on with.

    Raises:
        UserError: it cannot be had, the disk has no room, or a file that is there is another one.
    """
    files = _listed(item, place) if item.listing else item.files
    states = {file.name: State.MISSING if place.force else _state(item, file, place) for file in files}
    missing = [file for file in files if states[file.name] in (State.MISSING, State.PART)]
    _require_space(place.directory(item), sum(_rest(file, place.path(item, file)) for file in missing))
    fetched = set()
    for file in missing:
        _download(item, file, place)
        states[file.name] = State.WHOLE
        fetched.add(file.name)
    return [Held(file, place.path(item, file), states[file.name], file.name in fetched) for file in files]


def held(item: Item, place: Place, *, verify: bool = False) -> list[Held]:
    """What there is of an item: by records and sizes, or with `verify` by the content of every file. Asks no server.

    A listing that was never fetched has no files.
    """
    state = full_state if verify else quick_state
    files = kept_listing(listing_path(item, place.directory(item))) or () if item.listing else item.files
    return [Held(file, place.path(item, file), state(place.path(item, file), file)) for file in files]


def _state(item: Item, file: RemoteFile, place: Place) -> State:
    """What there is of a file.

    Raises:
        UserError: another file has its name.
    """
    path = place.path(item, file)
    state = quick_state(path, file)
    if state is State.DAMAGED:
        raise UserError(
            f"{path} is there, but is not what it must be (its size or digest differs). Move it away, or fetch it again "
            "with --force."
        )
    if state is State.WHOLE and read_record(path) is None and os.access(path.parent, os.W_OK):
        _record_found(path, file)
    return state


def _rest(file: RemoteFile, path: Path) -> int:
    """How many bytes of a file are still to come, as far as that is known."""
    part = path.with_name(f"{path.name}.part")
    return max(0, (file.bytes or 0) - (part.stat().st_size if part.is_file() else 0))


def _require_space(directory: Path, needed: int) -> None:
    there = next(parent for parent in (directory, *directory.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"{directory}: {needed / 1e9:,.1f} GB are to be fetched, but only {free / 1e9:,.1f} GB of the disk are free; "
            "free space, or choose another data directory"
        )


def _record_found(path: Path, file: RemoteFile) -> None:
    """Record a file that came by another way, so that it is not hashed again each time."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    size, digest = path.stat().st_size, file_digest(path)
    write_record(path, Record(address=None, bytes=size, sha256=digest, published=str(file.digest), date=now))


def _download(item: Item, file: RemoteFile, place: Place) -> None:
    addresses = [file_address(base, file.name) for base in place.bases(item)]
    try:
        Download(file, place.path(item, file), addresses, _patience(item, place), place.observer).run()
    except Unavailable as error:
        raise UserError("\n".join([f"{item.name}: {error}", *_advice(item, place)])) from error


def _listed(item: Item, place: Place) -> Sequence[RemoteFile]:
    """The files that an item's server lists, which are kept for `held`."""
    reasons: list[tuple[str, Refused | Interrupted]] = []
    for base in place.bases(item):
        try:
            files = _patience(item, place).run(partial(list_files, base), notice=place.observer.notice)
        except (Refused, Interrupted) as reason:
            reasons.append((base, reason))
        else:
            keep_listing(listing_path(item, place.directory(item)), files)
            return files
    raise UserError("\n".join([str(Unavailable(item.name, reasons)), *_advice(item, place)]))


def _patience(item: Item, place: Place) -> Retries:
    """What is gone by all that is known is asked for once: it may be back, but is not waited for."""
    return Retries(attempts=1) if item.gone is not None and place.mirror is None else place.retries


def _advice(item: Item, place: Place) -> list[str]:
    if place.mirror is not None:
        return [f"The mirror {place.mirror} must have every file as it lies below a data directory."]
    return [*([item.gone] if item.gone else []), *(f"Instead: {text}" for text in item.alternatives)]
