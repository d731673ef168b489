"""Weights of a checkpoint for a model that may have others too: what is loaded, what is left alone, and what is an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from neox_core.checkpoint import Reader, TensorSource, load_fragments, open_foreign
from neox_core.errors import UserError, nearest
from neox_core.parallel import Fragment, ShardSpec
from neox_core.plugins import PluginManager
from neox_core.training.initial import complete_checkpoint

logger = logging.getLogger("neox")

LISTED = 10
"""How many names a message has."""


class WeightsReport(NamedTuple):
    """What became of the weights of a model; the names are canonical ones.

    Args:
        path: the checkpoint that was read.
        loaded: those that have the checkpoint's values now.
        skipped: those that were left at their initialisation, as they were to be.
        missing: those among them that the checkpoint does not have.
        beyond: what the checkpoint has and the model has not.
        idle: the prefixes with which no name begins, neither in the model nor in the checkpoint; for each, the nearest name.
    """

    path: Path
    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    missing: tuple[str, ...]
    beyond: tuple[str, ...]
    idle: Mapping[str, str | None]

    def lines(self) -> Iterator[str]:
        """The report in words."""
        yield f"weights from {self.path}: {len(self.loaded)} tensors loaded"
        if self.skipped:
            lacks = "all of them" if self.missing == self.skipped else some(self.missing)
            absent = f"; the checkpoint lacks {lacks}" if self.missing else ""
            yield f"left at their initialisation: {some(self.skipped)}{absent}"
        if self.beyond:
            yield f"in the checkpoint only, and not used: {some(self.beyond)}"

    def warnings(self) -> Iterator[str]:
        """What was probably not meant."""
        for prefix, close in self.idle.items():
            hint = f"; did you mean '{close}'?" if close else ""
            yield f"initial_ckpt_skip_keys_with_these_prefixes: no weight begins with '{prefix}'{hint}"

    def log(self) -> None:
        """Tell it."""
        for line in self.lines():
            logger.info(line)
        for line in self.warnings():
            logger.warning(line)


def update_model_from_checkpoint(
    model: nn.Module, path: str | Path, skip: Iterable[str] = (), plugins: PluginManager | None = None
) -> WeightsReport:
    """Give a model the weights of a checkpoint, in place, and log what came of it. All that are wanted are loaded, or none.

    Args:
        model: its parameters have canonical names, and are whole.
        path: a checkpoint, or a directory of checkpoints, of which the newest is meant.
        skip: prefixes of the names of weights that are left as they are.
        plugins: whose converters read checkpoints of other families; None: it is one of ours.

    Raises:
        UserError: there is no such checkpoint; a weight is not in it, or has another shape there, and is not skipped.
        DamagedCheckpoint: a file is not what was written.
    """
    fragments = [
        Fragment(
            ShardSpec.complete(name, tuple(parameter.shape)), "weight", (0, parameter.numel()), parameter.data.view(-1)
        )
        for name, parameter in model.named_parameters()
    ]
    foreign = None if plugins is None else open_foreign(Path(path), plugins)
    source = Reader(complete_checkpoint(Path(path))) if foreign is None else foreign.source()
    report = update_from_checkpoint(fragments, source, skip)
    report.log()
    return report


def update_from_checkpoint(
    targets: Iterable[Fragment],
    source: TensorSource,
    skip: Iterable[str] = (),
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> WeightsReport:
    """The same for the places where an engine keeps its weights; nothing is logged.

    Args:
        targets: the places.
        source: the checkpoint, of which roles other than "weight" are not looked at.
        skip: prefixes of the names of weights that are left as they are.
        shapes: of all weights of the model by name, where `targets` are those of a stage: so that stages say the same of it.
    """
    targets, skip = list(targets), tuple(skip)
    shapes = shapes or {target.name: target.spec.global_shape for target in targets}
    wanted = {name: shape for name, shape in shapes.items() if not name.startswith(skip)}
    problems = [*_missing(wanted, source), *_reshaped(wanted, source)]
    if problems:
        raise UserError(
            f"{source.path} does not fit this model: {'; '.join(problems)}. Use the settings that it was saved with "
            "(--settings-from), or name prefixes of what is to begin anew in initial_ckpt_skip_keys_with_these_prefixes"
        )
    load_fragments(source, (target for target in targets if target.name in wanted))
    names = dict.fromkeys([*shapes, *source.names])
    idle = [prefix for prefix in skip if not any(name.startswith(prefix) for name in names)]
    skipped = tuple(name for name in shapes if name not in wanted)
    return WeightsReport(
        path=source.path,
        loaded=tuple(wanted),
        skipped=skipped,
        missing=tuple(name for name in skipped if not _has(source, name)),
        beyond=tuple(name for name in source.names if name not in shapes),
        idle={prefix: nearest(prefix, _beginnings(names)) for prefix in idle},
    )


def some(names: Sequence[str]) -> str:
    """The first names, and how many there are in all."""
    return ", ".join(names[:LISTED]) + (f", ... ({len(names)} in all)" if len(names) > LISTED else "")


def _has(source: TensorSource, name: str) -> bool:
    return "weight" in source.roles(name)


def _missing(wanted: Mapping[str, tuple[int, ...]], source: TensorSource) -> Iterator[str]:
    missing = [name for name in wanted if not _has(source, name)]
    if missing:
        yield f"it has no {some(missing)}"


def _reshaped(wanted: Mapping[str, tuple[int, ...]], source: TensorSource) -> Iterator[str]:
    saved = {name: source.shape(name) for name in wanted if _has(source, name)}
    different = [
        f"{name} {list(shape)} (here {list(wanted[name])})" for name, shape in saved.items() if shape != wanted[name]
    ]
    if different:
        yield f"its shapes differ: {some(different)}"


def _beginnings(names: Iterable[str]) -> list[str]:
    """Every name, and what it begins with up to each dot."""
    parts = (name.split(".") for name in names)
    return list(dict.fromkeys(".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)))
