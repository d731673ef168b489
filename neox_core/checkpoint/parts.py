"""The parts that make a checkpoint, and how they become one: by a manifest that is written last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from neox_core.checkpoint import layout
from neox_core.checkpoint.index import Index
from neox_core.checkpoint.layout import Condition
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.pieces import Piece
from neox_core.checkpoint.search import require_complete, require_none_later
from neox_core.config.topology import Topology
from neox_core.errors import UserError
from neox_core.files import FileRecord, write_file


@dataclass(frozen=True, slots=True)
class Part:
    """A shard, and the files that were written along with it."""

    shard: str
    pieces: tuple[Piece, ...]
    files: Mapping[str, FileRecord]


def prepare(directory: Path, iteration: int) -> bool:
    """Make room for the checkpoint of `iteration`; False when it is there already. One process only."""
    require_none_later(directory, iteration)
    path = layout.checkpoint_path(directory, iteration)
    match layout.condition(path):
        case Condition.COMPLETE:
            layout.point_latest(path)
            return False
        case Condition.GPT_NEOX | Condition.FOREIGN | Condition.RENAMED:
            require_complete(path)
        case Condition.INTERRUPTED:
            layout.remove(path)
        case Condition.ABSENT:
            pass
    return True


def commit_parts(
    path: Path,
    iteration: int,
    topology: Topology,
    parts: Sequence[Part],
    contents: Mapping[str, str | bytes],
) -> None:
    """Write what belongs to all ranks, then the manifest, then `latest`. One process only."""
    index = Index({part.shard: part.pieces for part in parts})
    records = {name: record for part in parts for name, record in part.files.items()}
    for name, content in {**contents, layout.INDEX: index.to_json()}.items():
        records[name] = write_file(path / name, content)
    roles = tuple(sorted({piece.role for part in parts for piece in part.pieces}))
    manifest = Manifest(iteration=iteration, topology=topology, files=records, roles=roles)
    for name, difference in manifest.missing(path).items():
        raise UserError(
            f"{path / name} was written, but rank 0 does not see it: {difference}. "
            "Every host must see the same directory: save to a shared file system."
        )
    manifest.write(path)
    layout.point_latest(path)


def withdraw(path: Path) -> None:
    """Remove what is there of a checkpoint that was not completed. One process only.

    Its space is needed, most of all when the disk is full; but the failure to report is the one that led here.
    """
    if layout.condition(path) is Condition.INTERRUPTED:
        with suppress(UserError):
            layout.remove(path)
