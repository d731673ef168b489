"""What a run begins with: a checkpoint that it goes on from, the weights of another one, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from neox_core.checkpoint import DamagedCheckpoint, Group, Reader, open_foreign, restore
from neox_core.config import CheckpointSettings, Resolved
from neox_core.model.soft_prompt import SOFT_PROMPT
from neox_core.parallel import Fragment
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
            found, facts = self._examined(path)
            if found is not None:
                return TakenUp(path, self.take(*found), tuple(damaged))
            if self.group.rank == 0:
                logger.warning("load_fallback: %s: passed over", "; ".join(facts))
            damaged.append(path)
        return TakenUp(paths[-1], self.take(Reader(paths[-1])), tuple(damaged))

    def _examined(self, path: Path) -> tuple[tuple[Reader, list[Fragment]] | None, list[str]]:
        """A checkpoint and what of it this rank loads where; None where a rank has found something damaged, and what.

        A rank sees the damage of what it needs alone, and what follows is done by all together or by none.
        """
        found, fact = None, None
        try:
            reader = Reader(path)
            found = reader, self.engine.wanted(reader, optimizer=not self.settings.no_load_optim)
            self._look_at_small_files(reader)
        except DamagedCheckpoint as error:
            fact = error.fact
        told = self.group.gather(fact)
        facts = self.group.broadcast([*dict.fromkeys(fact for fact in told or [] if fact is not None)])
        return (None if facts else found), facts

    def _look_at_small_files(self, reader: Reader) -> None:
        """Read the files that are taken up later than weights."""
        if not self.settings.no_load_rng:
            self._random_state(reader)
        reader.stream_states()
        if self.settings.checkpoint_validation_with_forward_pass:
            OutputRecord.read(reader)

    def _random_state(self, reader: Reader) -> dict[str, Any] | None:
        mesh = self.engine.mesh
        return reader.random_state_at(mesh.topology.place(mesh.rank))

    def take(self, reader: Reader, wanted: Sequence[Fragment] | None = None) -> Progress:
        """Weights, optimizer state, random states, averages of measures, places of streams and counts from a checkpoint.

        Args:
            reader: the checkpoint.
            wanted: what `Engine.wanted` gave of it, if it was asked.

        Raises:
            UserError: it does not fit, or is damaged; weights and optimizer state are what they were.
        """
        mesh = self.engine.mesh
        self.engine.load_fragments(reader, optimizer=not self.settings.no_load_optim, wanted=wanted)
        if self.settings.checkpoint_validation_with_forward_pass:
            self._validate(reader)
        self.measures.load(reader.state)
        if not self.settings.no_load_rng:
            random_state = self._random_state(reader)
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
