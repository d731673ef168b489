"""Saving: every rank writes its part, and only when all have, the manifest makes them a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neox_core.checkpoint import layout
from neox_core.checkpoint.group import Group, together
from neox_core.checkpoint.parts import Part, commit_parts, prepare, withdraw
from neox_core.checkpoint.shard import write_shard
from neox_core.config.topology import Topology
from neox_core.files import write_file
from neox_core.parallel.shards import Fragment


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
    prepared = together(group, what, lambda: group.rank == 0 and prepare(directory, iteration))
    if not group.broadcast(prepared is not None and prepared[0]):
        return path
    try:
        parts = together(group, what, lambda: _write_part(path, group.rank, fragments, own))

        def commit() -> None:
            if parts is not None:
                commit_parts(path, iteration, topology, parts, {**files, layout.STATE: json.dumps(state)})

        together(group, what, commit)
    except Exception:
        if group.rank == 0:
            withdraw(path)
        raise
    return path


def _write_part(
    path: Path, rank: int, fragments: Iterable[Fragment], own: Mapping[str, Mapping[str, Any] | None]
) -> Part:
    shard = layout.shard_name(rank)
    record, pieces = write_shard(path / shard, fragments)
    files = {shard: record}
    for name, state in own.items():
        if state is not None:
            files[name] = write_file(path / name, json.dumps(state))
    return Part(shard, pieces, files)
