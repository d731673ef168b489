"""Whether all of a checkpoint is what was written, file by file and tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neox_core.checkpoint.index import Index
from neox_core.checkpoint.layout import INDEX
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest
from neox_core.checkpoint.remote.parallel import in_parallel
from neox_core.errors import UserError
from neox_core.parallel.shards import ShardSpec

READERS = 4
"""Files that are read at once: each is hashed by a core, and disks have more to give than one can hash."""


def problems(path: Path, manifest: Manifest) -> Iterator[str]:
    """Everything that is wrong with the files of a checkpoint, a sentence each; all of them are read."""
    missing = manifest.missing(path)
    yield from (f"{path / name} is damaged: {difference}" for name, difference in missing.items())
    damaged = set(missing)
    for name in manifest.files.keys() - missing.keys():
        try:
            manifest.check_file(path, name)
        except DamagedCheckpoint as error:
            damaged.add(name)
            yield error.fact
    if INDEX not in damaged:
        yield from _gaps(path, manifest)


def check_contents(path: Path) -> None:
    """Read all files of a checkpoint, several at once.

    Raises:
        DamagedCheckpoint: one is not what was written; the first that is found.
    """
    manifest = Manifest.read(path)
    in_parallel(lambda name: manifest.check_file(path, name), manifest.files, READERS)


def _gaps(path: Path, manifest: Manifest) -> Iterator[str]:
    """Elements of tensors that no shard has: what a rank should have saved and did not."""
    index = Index.from_json(manifest.content(path, INDEX).decode())
    for name in index.names:
        for role in index.roles(name):
            spec = ShardSpec.complete(name, index.shape(name, role))
            if not index.is_scalar(name, role):
                try:
                    index.copies(spec, role, (0, spec.local_size))
                except UserError as error:
                    yield f"{path}: {error}"
