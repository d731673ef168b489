"""What a run begins with: a checkpoint that it goes on from, the weights of another one, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from neox_core.checkpoint import DamagedCheckpoint, Group, Reader, open_foreign, restore
from neox_core.config import CheckpointSettings, Resolved
from neox_core.model.soft_prompt import SOFT_PROMPT
from neox_core.plugins import PluginManager
from neox_core.training.batches import Batches
from neox_core.training.engine import Engine
from neox_core.training.measures import Measures
from neox_core.training.output_record import OutputRecord
from neox_core.training.progress import Progress
from neox_core.training.streams import restore_streams

logger = logging.getLogger("neox")


class TakenUp(NamedTuple):
    """What was taken up.

    Args:
        path: the checkpoint; None: training begins anew.
        progress: how far the run is.
        damaged: later checkpoints that could not be.
    """

    path: Path | None
    progress: Progress
    damaged: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A run that goes on from a checkpoint; every rank has one.

    Args:
        resolved: the run's settings.
        group: all ranks.
    """

    engine: Engine
    measures: Measures
    batches: Mapping[str, Batches]
    resolved: Resolved
    group: Group

    @property
    def settings(self) -> CheckpointSettings:
        """What of a checkpoint is wanted."""
        return self.resolved[CheckpointSettings]

    def take_up(self, paths: Sequence[Path]) -> TakenUp:
        """Go on from the first of some checkpoints that is sound, which all ranks find out together.

        Args:
            paths: best first.

        Raises:
            DamagedCheckpoint: a file of the last of them, which this rank needs, is not what was written.
            UserError: it does not fit.
        """
        damaged: list[Path] = []
        for path in paths[:-1]:
            progress, facts = self._attempt(path)
            if not facts:
                return TakenUp(path, progress, tuple(damaged))
            if self.group.rank == 0:
                logger.warning("load_fallback: %s: passed over", "; ".join(facts))
            damaged.append(path)
        return TakenUp(paths[-1], self.take(paths[-1]), tuple(damaged))

    def _attempt(self, path: Path) -> tuple[Progress, list[str]]:
        """How far the run is after a checkpoint, and what ranks have found damaged of it."""
        progress, fact = Progress(), None
        try:
            progress = self.take(path)
        except DamagedCheckpoint as error:
            fact = error.fact
        facts = self.group.gather(fact)
        return progress, self.group.broadcast([*dict.fromkeys(fact for fact in facts or [] if fact is not None)])

    def take(self, path: Path) -> Progress:
        """Weights, optimizer state, random states, averages of measures, places of streams and counts from a checkpoint.

        Raises:
            UserError: it does not fit, or is damaged; weights and optimizer state are what they were.
        """
        reader, mesh = Reader(path), self.engine.mesh
        self.engine.load_fragments(reader, optimizer=not self.settings.no_load_optim)
        if self.settings.checkpoint_validation_with_forward_pass:
            self._validate(reader)
        self.measures.load(reader.state)
        if not self.settings.no_load_rng:
            random_state = reader.random_state_at(mesh.topology.place(mesh.rank))
            if random_state is not None:
                restore(random_state)
        restore_streams(self.batches, reader, mesh.data.rank, mesh.data.size)
        progress = Progress.from_dict(reader.state)
        return replace(progress, scheduled=0) if self.settings.no_load_optim else progress

    def _validate(self, reader: Reader) -> None:
        """See that the model gives what it gave when it was saved."""
        record = OutputRecord.read(reader)
        if record is not None:
            record.compare(OutputRecord.of(self.engine, self.resolved), str(reader.path))
        elif self.group.rank == 0:
            logger.warning(
                "checkpoint_validation_with_forward_pass: %s was saved without outputs; nothing is compared",
                reader.path,
            )


def begin_with(engine: Engine, path: Path, resolved: Resolved, plugins: PluginManager, rank: int) -> tuple[str, ...]:
    """The first weights from a checkpoint, which may be one of another family, and need not have a soft prompt; their names, which
    rank 0 tells too."""
    foreign = open_foreign(path, plugins)
    source = Reader(path) if foreign is None else foreign.source()
    skip = [*resolved[CheckpointSettings].initial_ckpt_skip_keys_with_these_prefixes]
    if engine.model.prompt_length and SOFT_PROMPT not in source.names:
        skip.append(SOFT_PROMPT)
    report = engine.update_from_checkpoint(source, skip)
    if rank == 0:
        report.log()
    return report.loaded
