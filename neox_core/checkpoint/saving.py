"""Saving: every rank writes its part, and only when all have, the manifest makes them a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_core.checkpoint import layout
from neox_core.checkpoint.group import Group, together
from neox_core.checkpoint.index import Index
from neox_core.checkpoint.layout import Condition
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.pieces import Piece
from neox_core.checkpoint.search import require_complete, require_none_later
from neox_core.checkpoint.shard import write_shard
from neox_core.config.topology import Topology
from neox_core.errors import UserError
from neox_core.files import FileRecord, write_file
from neox_core.parallel.shards import Fragment


@dataclass(frozen=True, slots=True)
class _Part:
    """What one rank wrote."""

    shard: str
    pieces: tuple[Piece, ...]
    files: Mapping[str, FileRecord]


def save(
    directory: Path,
    *,
    iteration: int,
    fragments: Iterable[Fragment],
    state: Mapping[str, Any],
    files: Mapping[str, str | bytes],
    random_state: Mapping[str, Any] | None,
    group: Group,
    topology: Topology | None = None,
    stream_state: Mapping[str, Any] | None = None,
) -> Path:
    """Save a checkpoint to `directory`/global_step{iteration}, which all ranks of `group` see; called by all of them.

    A rank passes the `fragments` that it must write: of what several ranks hold alike, only one passes it. `state` (plain
    data, survives JSON) and `files` (settings.yml, plugins.json, tokenizer.json, ... by name) are those of rank 0;
    `random_state` is this rank's, as `capture` returns it, or None; `stream_state` (plain data) is where its streams of
    samples are, or None. `topology` says how the run is cut over the ranks; None: each has other data.

    When this returns, the checkpoint is complete and on disk, and `latest` names it. A crash at any moment leaves what
    was complete before and, at most, a directory without a manifest, which the next save of this iteration clears away.
    A complete checkpoint of the same iteration is kept as it is: a run that called `require_none_later` when it began gets
    there twice only by resuming from it.

    Returns:
        The directory of the checkpoint.

    Raises:
        UserError: the file system refuses, on this rank or on another (then the sentence names it), or `directory`
            holds later checkpoints, or GPT-NeoX's of this iteration. No rank returns then, and what was complete before
            still is.
        ValueError: the topology has another number of ranks than the group.
    """
    topology = topology or Topology(data=group.world_size)
    if topology.size != group.world_size:
        raise ValueError(f"{topology} is not the {group.world_size} ranks that save")
    path = layout.checkpoint_path(directory, iteration)
    what = f"Saving {path}"
    own = {layout.random_state_name(group.rank): random_state, layout.stream_state_name(group.rank): stream_state}
    prepared = together(group, what, lambda: group.rank == 0 and _prepare(directory, iteration))
    if not group.broadcast(prepared is not None and prepared[0]):
        return path
    try:
        parts = together(group, what, lambda: _write_part(path, group.rank, fragments, own))

        def commit() -> None:
            if parts is not None:
                _commit(path, iteration, topology, parts, {**files, layout.STATE: json.dumps(state)})

        together(group, what, commit)
    except Exception:
        if group.rank == 0 and layout.condition(path) is Condition.INTERRUPTED:
            # Its space is needed, most of all when the disk is full; but the failure to report is the first one.
            with suppress(OSError):
                layout.remove(path)
        raise
    return path


def _prepare(directory: Path, iteration: int) -> bool:
    """Make room for the checkpoint of `iteration`; False when it is there already. Rank 0 only."""
    require_none_later(directory, iteration)
    path = layout.checkpoint_path(directory, iteration)
    match layout.condition(path):
        case Condition.COMPLETE:
            layout.point_latest(path)
            return False
        case Condition.GPT_NEOX:
            require_complete(path)
        case Condition.INTERRUPTED:
            layout.remove(path)
        case Condition.ABSENT:
            pass
    return True


def _write_part(
    path: Path, rank: int, fragments: Iterable[Fragment], own: Mapping[str, Mapping[str, Any] | None]
) -> _Part:
    shard = layout.shard_name(rank)
    record, pieces = write_shard(path / shard, fragments)
    files = {shard: record}
    for name, state in own.items():
        if state is not None:
            files[name] = write_file(path / name, json.dumps(state))
    return _Part(shard, pieces, files)


def _commit(
    path: Path,
    iteration: int,
    topology: Topology,
    parts: list[_Part],
    contents: Mapping[str, str | bytes],
) -> None:
    """Write what belongs to all ranks, then the manifest, then `latest`. Rank 0 only."""
    index = Index({part.shard: part.pieces for part in parts})
    records = {name: record for part in parts for name, record in part.files.items()}
    for name, content in {**contents, layout.INDEX: index.to_json()}.items():
        records[name] = write_file(path / name, content)
    manifest = Manifest(iteration=iteration, topology=topology, files=records)
    for name, difference in manifest.missing(path).items():
        raise UserError(
            f"{path / name} was written, but rank 0 does not see it: {difference}. "
            "Every host must see the same directory: save to a shared file system."
        )
    manifest.write(path)
    layout.point_latest(path)
