"""`neox checkpoint reshard`: write a checkpoint as other ranks would have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import INDEX, STATE, random_state_name, stream_state_name
from neox_core.checkpoint.resolution import resolve_saved
from neox_core.cli.words import checkpoint_here, directory_to_write, positive
from neox_core.config import NeoXArgs, Topology, World, read_text
from neox_core.config.entries import entries_of
from neox_core.config.parser import RaisingParser
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_core.checkpoint import Reader
    from neox_core.config import Resolved
    from neox_core.plugins import PluginManager

OF_RANKS = ("shards/", "random/", "streams/")
"""Where files of single ranks lie in a checkpoint."""


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint reshard",
        description="Write a checkpoint anew as a run on other ranks would have saved it, each file of tensors for one of them; "
        "without numbers of ranks, in few files with whole tensors. Every run can load every checkpoint as it is: this saves its "
        "ranks from reading more than their own part. Weights and optimizer state keep every bit; one piece of a tensor is in memory "
        "at a time.",
    )
    command.add_argument(
        "source", type=checkpoint_here, metavar="FROM", help="a checkpoint, or a directory of checkpoints"
    )
    command.add_argument(
        "target", type=directory_to_write, metavar="TO", help="directory for the new one, which keeps its step"
    )
    command.add_argument("--iteration", type=int, metavar="N", help="which of the directory; the newest")
    for name, what in (("tp", "tensor-parallel ranks"), ("pp", "stages of a pipeline"), ("dp", "data-parallel ranks")):
        command.add_argument(f"--{name}", type=positive, metavar="N", help=f"number of {what}")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Write it, and say where.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or the model cannot be cut like that.
    """
    options = parser().parse(argv)
    from neox_core.checkpoint import Reader, write_checkpoint
    from neox_core.training.initial import complete_checkpoint
    from neox_core.training.lock import DirectoryLock

    reader = Reader(complete_checkpoint(options.source, options.iteration))
    topology = Topology(pipe=options.pp or 1, data=options.dp or 1, tensor=options.tp or 1)
    shards = None
    if options.tp or options.pp or options.dp:
        from neox_commands.checkpoint_cuts import pieces_of_ranks

        resolved = cut_for(reader, topology, context.plugins)
        shards = list(pieces_of_ranks(resolved, context.plugins, reader))
    files = dict(_files(reader, topology))
    with DirectoryLock(options.target):
        path = write_checkpoint(
            options.target,
            reader,
            iteration=reader.iteration,
            state=reader.state,
            files=files,
            shards=shards,
            topology=topology,
        )
    found = _facts(path)
    print(
        json_text(found) if options.json else f"{path}: {found['shards']} files of tensors, {in_words(found['bytes'])}"
    )
    return 0


def cut_for(reader: Reader, topology: Topology, plugins: PluginManager) -> Resolved:
    """The settings of a checkpoint for other ranks.

    Raises:
        UserError: its model cannot be cut over them.
    """
    values: dict[str, Any] = {
        entry.key: entry.value for entry in read_text(reader.settings_text, str(reader.path / CHECKPOINT_SETTINGS))
    }
    for key in ("train_batch_size", "gradient_accumulation_steps", "context_parallel_size", "sequence_parallel"):
        values.pop(key, None)  # they say nothing about weights, and need not suit other ranks
    micro = values.pop("train_micro_batch_size_per_gpu", None) or 1
    values |= {
        "train_micro_batch_size_per_gpu": micro,
        "model_parallel_size": topology.tensor,
        "pipe_parallel_size": topology.pipe,
        "zero_optimization": {"stage": 0},
    }
    entries = entries_of(values, str(reader.path / CHECKPOINT_SETTINGS))
    return resolve_saved(NeoXArgs(entries.values(), plugins), reader.state, World.local(topology.size))


def _files(reader: Reader, topology: Topology) -> Iterator[tuple[str, bytes]]:
    """What is no tensor: that of all ranks as it is, that of a rank for whoever is in its place.

    Raises:
        UserError: ranks have streams of samples, and there are to be more or fewer of them.
    """
    for name in reader.manifest.files:
        if not name.startswith(OF_RANKS) and name not in (INDEX, STATE):
            yield name, reader.file(name)
    streams = reader.stream_states()
    if any(streams) and len(streams) != topology.data:
        raise UserError(
            f"{reader.path} has the places of {len(streams)} data-parallel ranks in a server's samples, which only a run can deal "
            f"anew: give --dp {len(streams)}, or let the run load {reader.path} itself"
        )
    for rank in range(topology.size):
        place = topology.place(rank)
        for name, state in (
            (random_state_name(rank), reader.random_state_at(place)),
            (stream_state_name(rank), streams[place.data] if any(streams) else None),
        ):
            if state is not None:
                yield name, json.dumps(state).encode()


def _facts(path: Path) -> dict[str, Any]:
    from neox_core.checkpoint import Manifest

    manifest = Manifest.read(path)
    shards = [name for name in manifest.files if name.startswith("shards/")]
    return {"path": str(path), "shards": len(shards), "ranks": str(manifest.topology), "bytes": manifest.size}
