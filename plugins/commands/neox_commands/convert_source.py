"""What `neox convert` converts: a checkpoint of neox, or of another family, as the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_commands.steps import at_step
from neox_core.checkpoint import (
    Exported,
    Family,
    LazyTensors,
    Reader,
    RoleTensors,
    require_family,
)
from neox_core.checkpoint.conversion import with_masters
from neox_core.checkpoint.foreign import opened
from neox_core.config.command_line import files_and_overrides
from neox_core.config.entries import plugins_for, read_entries
from neox_core.config.foreign import is_ours
from neox_core.data.tokenizers import stored_source
from neox_core.errors import UserError
from neox_core.plugins import CommandContext
from neox_core.training import settings_of
from neox_core.training.initial import complete_checkpoint

NEOX = "neox"
"""What the command line calls our own checkpoints."""


@dataclass(frozen=True)
class Source:
    """A checkpoint that is converted.

    Args:
        family: `NEOX`, or the name of a converter.
        reads: the family, where it is another.
        exported: what there is of it.
    """

    family: str
    reads: Family | None
    exported: Exported


def open_source(where: Path, iteration: int | None, words: Sequence[str], context: CommandContext) -> Source:
    """The checkpoint that a user means.

    Args:
        where: it, or a directory of some.
        iteration: which of those; None: the newest.
        words: files and overrides with settings for what it does not say.
        context: of the command.

    Raises:
        UserError: there is none, it is damaged, or its settings do not fit together.
    """
    if is_ours(where):
        if words:
            raise UserError(f"--config: {where} is a checkpoint of neox and has all of its settings; leave it out")
        return _ours(complete_checkpoint(where, iteration), context)
    files, overrides = files_and_overrides(words)
    entries = read_entries(files, overrides)
    plugins = plugins_for(entries, context.switches, context.plugins)
    path = at_step(where, iteration)
    name, family = require_family(path, plugins)
    foreign = opened(name, family, path, plugins, {key: entry.value for key, entry in entries.items()})
    checkpoint, resolved = foreign.checkpoint, foreign.resolved
    checkpoint.verify()
    weights, states = with_masters(foreign.weights(), checkpoint.states(resolved))
    exported = Exported(
        path=checkpoint.path,
        resolved=resolved,
        plugins=plugins,
        weights=weights,
        states=states,
        progress=checkpoint.progress,
        tokenizer=checkpoint.tokenizer,
    )
    return Source(name, family, exported)


def _ours(path: Path, context: CommandContext) -> Source:
    reader = Reader(path)
    resolved, plugins = settings_of(reader, context.switches)
    roles = dict.fromkeys(role for name in reader.names for role in reader.roles(name))
    tensors = {role: RoleTensors(reader, role) for role in roles}
    exported = Exported(
        path=path,
        resolved=resolved,
        plugins=plugins,
        weights=tensors.pop("weight"),
        states=tensors,
        progress=reader.state,
        tokenizer=stored_source(path, reader.manifest.files, reader.file),
    )
    return Source(NEOX, None, exported)


class Watched(LazyTensors):
    """Tensors, and how many bytes of them were read so far, on a terminal.

    Args:
        tensors: what is read.
        bar: of `tqdm`, or what else has `update(bytes)`.
    """

    def __init__(self, tensors: LazyTensors, bar: Any) -> None:
        self._tensors, self._bar = tensors, bar
        self._read: set[str] = set()

    def meta(self, name: str) -> Any:
        """Shape and type of one."""
        return self._tensors.meta(name)

    def __getitem__(self, name: str) -> Any:
        tensor = self._tensors[name]
        if name not in self._read:  # of which another one may be made too
            self._read.add(name)
            self._bar.update(tensor.numel() * tensor.element_size())
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def size_of(tensors: LazyTensors) -> int:
    """Bytes of all of them."""
    return sum(meta.numel() * meta.element_size() for meta in map(tensors.meta, tensors))


def all_tensors(exported: Exported) -> Mapping[str, LazyTensors]:
    """Weights and states, by role."""
    return {"weight": exported.weights, **exported.states}
