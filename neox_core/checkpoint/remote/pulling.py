"""Copying a complete checkpoint from a store to a directory, where it appears when all of it is there and sound."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neox_core.checkpoint.layout import Condition, condition
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.remote.parallel import in_parallel
from neox_core.checkpoint.remote.places import RemoteCheckpoint
from neox_core.checkpoint.remote.ranges import RANGE, Download
from neox_core.checkpoint.remote.store import StoreOptions
from neox_core.config.presets import MANIFEST
from neox_core.errors import UserError
from neox_core.file_locks import Lock, open_lock, try_lock
from neox_core.files import missing_directories, remove_empty, sync_directory, write_file

UNFINISHED = ".pulling"
"""The directory, beside where a checkpoint is to be, in which it is until all of it is there."""

PATIENCE = 0.2
"""Seconds between looks at whether another process has finished."""


def pull(
    checkpoint: RemoteCheckpoint,
    path: Path,
    options: StoreOptions,
    *,
    tell: Callable[[int], None] = lambda size: None,
    waiting: Callable[[], None] = lambda: None,
) -> None:
    """Copy a checkpoint to `path`, unless it is there; what an interrupted attempt has left is gone on with.

    Of several processes that do so one copies, and the others wait for it.

    Args:
        checkpoint: the remote one.
        path: the directory that it is to be.
        options: how many requests are under way at once.
        tell: told of bytes as they come, by any thread.
        waiting: called now and then while another process copies.

    Raises:
        UserError: the store fails, what comes is not what was written, there is no room, or something else is at `path`.
    """
    with _only_one(path, waiting):
        if not _is_there(checkpoint, path):
            _copy(checkpoint, path, options, tell)


def _is_there(checkpoint: RemoteCheckpoint, path: Path) -> bool:
    """Whether it is at a path already.

    Raises:
        UserError: something else is.
    """
    match condition(path):
        case Condition.ABSENT:
            return False
        case Condition.COMPLETE:
            if (path / MANIFEST).read_bytes() == checkpoint.manifest_text and not Manifest.read(path).missing(path):
                return True
            raise UserError(
                f"{path} is another checkpoint than {checkpoint.url}, or damaged; move it away, or choose another place"
            )
        case _:
            raise UserError(
                f"{path} is not a complete checkpoint; remove it, or choose another place for {checkpoint.url}"
            )


def _copy(checkpoint: RemoteCheckpoint, path: Path, options: StoreOptions, tell: Callable[[int], None]) -> None:
    checkpoint.check()
    unfinished = _unfinished(checkpoint, path)
    files = checkpoint.manifest.files
    missing = {name: record for name, record in files.items() if not _has(unfinished / name, record.size)}
    _require_room(unfinished, missing, checkpoint)
    small = [name for name, record in missing.items() if record.size <= RANGE]
    large = [name for name in missing if name not in set(small)]

    def fetch(name: str, threads: int = 1) -> None:
        file = Download(
            store=checkpoint.store,
            name=checkpoint.at(name),
            path=unfinished / name,
            record=missing[name],
            threads=threads,
            tell=tell,
        )
        file.run()

    in_parallel(fetch, small, options.threads)
    for name in large:
        fetch(name, options.threads)
    write_file(unfinished / MANIFEST, checkpoint.manifest_text)
    for other in unfinished.rglob("*"):
        if other.is_file() and other.relative_to(unfinished).as_posix() not in {*files, MANIFEST}:
            other.unlink()
    unfinished.rename(path)
    sync_directory(path.parent)
    with suppress(OSError):  # another one is being copied there
        unfinished.parent.rmdir()


def _unfinished(checkpoint: RemoteCheckpoint, path: Path) -> Path:
    """The directory for what there is of it so far; what there was of another one that was to be at the same place is removed."""
    digest = hashlib.sha256(checkpoint.manifest_text).hexdigest()[:12]
    unfinished = path.parent / UNFINISHED / f"{path.name}.{digest}"
    for other in unfinished.parent.glob(f"{path.name}.*"):
        if other != unfinished:
            shutil.rmtree(other)
    return unfinished


def _has(path: Path, size: int) -> bool:
    """Whether a file was downloaded before; it got its name when it was sound."""
    return path.is_file() and path.stat().st_size == size


def _require_room(unfinished: Path, missing: Iterable[str], checkpoint: RemoteCheckpoint) -> None:
    """Raise a UserError where what is still to come does not fit on the disk."""
    existing = next(place for place in (unfinished, *unfinished.absolute().parents) if place.exists())
    held = sum(each.stat().st_blocks * 512 for each in unfinished.rglob("*.part")) if unfinished.exists() else 0
    needed = sum(checkpoint.manifest.files[name].size for name in missing) - held
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"{checkpoint.url}: {needed:,} bytes are still to come, and {existing} has {free:,} bytes free; free space there, or "
            "choose another directory"
        )


@contextmanager
def _only_one(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from copying to the same place; the system ends this with the process, however that ends.

    Of a copy that fails what has arrived is left, and a directory that was made for it alone is not.
    """
    made = missing_directories(path.parent)
    lock = path.parent / f".{path.name}.lock"
    try:
        while True:
            with open_lock(lock) as file:
                match try_lock(file.fileno(), lock):
                    case Lock.HELD | Lock.NONE:
                        try:
                            yield
                        finally:
                            lock.unlink(missing_ok=True)
                            remove_empty(made)
                        return
                    case Lock.TAKEN:
                        waiting()
                        time.sleep(PATIENCE)
                    case Lock.GONE:
                        pass
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written to: {error}; mend its permissions, or choose another directory"
        ) from error
