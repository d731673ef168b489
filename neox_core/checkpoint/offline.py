"""Checkpoints that no run saves: one process writes all of it, a piece at a time, from whatever its tensors can be read from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neox_core.checkpoint import layout
from neox_core.checkpoint.parts import Part, commit_parts, prepare, withdraw
from neox_core.checkpoint.pieces import Piece
from neox_core.checkpoint.shard import write_pieces
from neox_core.checkpoint.source import TensorSource
from neox_core.config.topology import Topology
from neox_core.errors import UserError
from neox_core.parallel.shards import ShardSpec, of_rank

SHARD_SIZE = 2**32
"""Bytes of a shard. Whoever needs something of one reads all of it, to know that it is undamaged."""


def write_checkpoint(
    directory: Path,
    source: TensorSource,
    *,
    iteration: int,
    state: Mapping[str, Any],
    files: Mapping[str, str | bytes],
    shards: Iterable[Sequence[Piece]] | None = None,
    topology: Topology = Topology(),  # noqa: B008  it is frozen
) -> Path:
    """Write `directory`/global_step{iteration}, of which nothing may be there yet.

    Args:
        directory: for checkpoints; it is made where there is none.
        source: all that is wanted of its tensors; at most one piece is in memory at a time.
        iteration: steps that were taken.
        state: plain data, as `save` takes it.
        files: settings.yml, plugins.json, tokenizer.json, ..., those of ranks too, by name within the checkpoint.
        shards: how the tensors are cut and which of them are in a shard; None: whole, in shards of `SHARD_SIZE`.
        topology: of the ranks whose parts the shards are.

    Returns:
        The directory of the checkpoint, which is complete and on disk, and which `latest` names.

    Raises:
        UserError: it is there already, or later ones are; the file system refuses; or the source is damaged. Nothing of it is
            left then.
    """
    path = layout.checkpoint_path(directory, iteration)
    if layout.condition(path) is layout.Condition.COMPLETE:
        raise UserError(f"{path} is a complete checkpoint already: choose another directory")
    prepare(directory, iteration)
    try:
        named = _ranks(shards) if shards is not None else _parts(whole_pieces(source))
        parts = [_write(path, name, pieces, source) for name, pieces in named]
        commit_parts(path, iteration, topology, parts, {**files, layout.STATE: json.dumps(state)})
    except BaseException:
        withdraw(path)
        raise
    return path


def whole_pieces(source: TensorSource) -> Iterator[Piece]:
    """All that a source has, each tensor whole, or, if it is larger than a shard, in runs.

    What single ranks remembered for themselves means nothing to others, and is left out.
    """
    for name in source.names:
        for role in source.roles(name):
            spec = ShardSpec.complete(name, source.shape(name, role))
            if of_rank(role):
                continue
            dtype = source.dtype(name, role)
            if source.is_scalar(name, role):
                yield Piece(spec, role, (0, 1), True, dtype)
                continue
            step = max(SHARD_SIZE // dtype.itemsize, 1)
            for start in range(0, spec.local_size, step):
                yield Piece(spec, role, (start, min(start + step, spec.local_size)), False, dtype)


def _ranks(shards: Iterable[Sequence[Piece]]) -> Iterator[tuple[str, Sequence[Piece]]]:
    return ((layout.shard_name(rank), pieces) for rank, pieces in enumerate(shards))


def _parts(pieces: Iterable[Piece]) -> Iterator[tuple[str, Sequence[Piece]]]:
    """Pieces in their order, as many in a shard as it may hold."""
    held: list[Piece] = []
    size = number = 0
    for piece in pieces:
        bytes_ = piece.size * piece.dtype.itemsize
        if held and size + bytes_ > SHARD_SIZE:
            yield layout.part_name(number), held
            held, size, number = [], 0, number + 1
        held.append(piece)
        size += bytes_
    if held:
        yield layout.part_name(number), held


def _write(path: Path, name: str, pieces: Sequence[Piece], source: TensorSource) -> Part:
    record, written = write_pieces(path / name, pieces, lambda piece: source.read(piece.spec, piece.role, piece.range))
    return Part(name, written, {name: record})
