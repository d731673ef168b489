"""When a run saves, and what it puts into a checkpoint."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from neox_core.checkpoint import Group, Manifest, Snapshots, capture, prune, require_none_later, save
from neox_core.checkpoint.group import together
from neox_core.checkpoint.layout import PLUGINS, set_aside
from neox_core.checkpoint.resolution import resolved_with
from neox_core.config import CheckpointSettings, Resolved, TokenizerSettings, dump_yaml
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.data.tokenizers import read_source
from neox_core.errors import UserError
from neox_core.plugins import PluginManager
from neox_core.training import environment, output_record
from neox_core.training.background import Background
from neox_core.training.engine import Engine
from neox_core.training.lock import DirectoryLock
from neox_core.training.measures import Measures
from neox_core.training.output_record import OutputRecord
from neox_core.training.progress import Progress
from neox_core.training.run import Checkpoint

ORIGINS = "origins.json"
"""Name, in a checkpoint, of where each of its settings was given."""

logger = logging.getLogger("neox")


def is_due(settings: CheckpointSettings, iteration: int) -> bool:
    """Whether the settings ask for a checkpoint after this step."""
    if iteration in (settings.extra_save_iters or ()):
        return True
    factor = settings.checkpoint_factor
    if factor is None:
        return False
    if settings.checkpoint_scale == "log":
        return is_whole_power(iteration, factor)
    return iteration % factor == 0


def is_whole_power(iteration: int, factor: float) -> bool:
    """Whether the step is the whole part of a power of `factor`, which is > 1: 1, 2, 4, 8, ... for 2."""
    power = 1.0
    while int(power) < iteration:
        power *= factor
    return int(power) == iteration


def _prune(directory: Path, keep_last: int) -> None:
    """Delete old checkpoints. What cannot be is no reason to end a run: it is tried again after the next one."""
    try:
        prune(directory, keep_last)
    except UserError as error:
        logger.warning("keep_last_n_checkpoints: %s", error)


class Saver:
    """Writes the checkpoints of a run into the directory that `save` names."""

    def __init__(
        self,
        resolved: Resolved,
        plugins: PluginManager,
        group: Group,
        *,
        beside: Group | None = None,
        iteration: int = 0,
        damaged: Iterable[Path] = (),
    ) -> None:
        """Take the directory.

        Args:
            resolved: the settings.
            plugins: those in use, which a checkpoint names.
            group: all ranks.
            beside: all ranks again, to agree while they train: then checkpoints are written beside training.
            iteration: steps that the run has taken.
            damaged: checkpoints that are later than where the run is; they are set aside.

        Raises:
            UserError: another run saves there, or has saved there since this one began.
        """
        self._settings, self._group, self._beside = resolved[CheckpointSettings], group, beside
        self._snapshots = Snapshots()
        self._pending: Background[Checkpoint] | None = None
        self._environment: Background[dict[str, Any]] | None = None
        self._files: dict[str, str | bytes] = {
            CHECKPOINT_SETTINGS: dump_yaml(resolved.values),
            PLUGINS: json.dumps(plugins.manifest(), indent=1),
        }
        if self.enabled and group.rank == 0:
            self._files[ORIGINS] = json.dumps({key: str(origin) for key, origin in resolved.origins.items()}, indent=1)
            # git may take its time on slow disks: nobody waits for it before the first checkpoint.
            look = partial(environment.environment, group.world_size, resolved.world.device, Path.cwd())
            self._environment = Background(look, "environment")
        self._resolved = resolved
        self._facts = resolved_with(resolved)
        self._looked_at = False
        if self.enabled:
            together(group, "Taking the directory of checkpoints", lambda: self._take_directory(iteration, damaged))
        described = resolved[TokenizerSettings]
        if described.vocab_file is not None and group.rank == 0:
            source = read_source(described.tokenizer_type, described.vocab_file, described.merge_file)
            self._files |= source.stored()

    def _take_directory(self, iteration: int, damaged: Iterable[Path]) -> None:
        directory = Path(str(self._settings.save))
        self._lock = DirectoryLock(directory) if self._group.rank == 0 else None
        for path in damaged:
            if self._group.rank == 0 and path.parent.absolute() == directory.absolute():
                logger.warning("%s is damaged, and is now %s", path, set_aside(path).name)
        if self._group.rank == 0:
            require_none_later(directory, iteration)  # whoever had the directory until now may have saved

    def look_at(self, engine: Engine) -> None:
        """Find out, once the optimizer has its state, whether all of it can be saved, instead of at the first checkpoint; and have the
        memory for it where checkpoints are written beside training.

        Raises:
            UserError: it cannot.
        """
        if self.enabled and not self._looked_at:
            self._looked_at = True
            fragments = list(engine.fragments())
            if self._beside is not None:
                self._snapshots.reserve(fragments)

    @property
    def enabled(self) -> bool:
        """Whether the run saves at all."""
        return self._settings.save is not None

    def save(
        self, engine: Engine, progress: Progress, measures: Measures, stream_state: Mapping[str, Any] | None
    ) -> Checkpoint | None:
        """Save. Every rank calls this at the same step, and none while a checkpoint is being written.

        Returns:
            The checkpoint, which is complete; None: it is being written, and `take_written` gives it.

        Raises:
            UserError: it cannot be written, by this rank or by another one.
        """
        start = time.monotonic()
        contents: dict[str, Any] = {
            "iteration": progress.iteration,
            "fragments": engine.fragments(),
            "state": progress.to_dict() | engine.state() | measures.state() | self._facts,
            "files": self._files | self._made_with() | self._outputs(engine),
            "random_state": None if self._settings.no_save_rng else capture(),
            "topology": engine.mesh.topology,
            "stream_state": stream_state,
        }
        if self._beside is None:
            return self._written(contents, self._group, start)
        # As text and back: what training changes in the meantime is no part of it.
        copies = {key: json.loads(json.dumps(contents[key])) for key in ("state", "random_state", "stream_state")}
        copies["fragments"] = self._snapshots.take(contents["fragments"])
        paused = time.monotonic() - start
        work = partial(self._written, contents | copies, self._beside, start, paused)
        self._pending = Background(work, f"checkpoint of step {progress.iteration}")
        return None

    def _made_with(self) -> dict[str, str]:
        """Software and machine, which rank 0 tells."""
        found = None if self._environment is None else self._environment.result()
        return {} if found is None else {environment.FILE: json.dumps(found, indent=1)}

    def _outputs(self, engine: Engine) -> dict[str, str]:
        """What the model gives now, if that is wanted."""
        if not self._settings.checkpoint_validation_with_forward_pass:
            return {}
        return {output_record.FILE: OutputRecord.of(engine, self._resolved).to_json()}

    def _written(
        self, contents: Mapping[str, Any], group: Group, start: float, paused: float | None = None
    ) -> Checkpoint:
        """Write a checkpoint to its end, and delete those that are not to be kept."""
        directory = Path(str(self._settings.save))
        path = save(directory, group=group, **contents)
        if group.rank == 0 and self._settings.keep_last_n_checkpoints is not None:
            _prune(directory, self._settings.keep_last_n_checkpoints)
        # Other hosts may not see yet, through the caches of a file system that they share, what rank 0 has written.
        size = group.broadcast(Manifest.read(path).size if group.rank == 0 else 0)
        seconds = time.monotonic() - start
        return Checkpoint(
            path=path,
            iteration=contents["iteration"],
            seconds=seconds,
            bytes=size,
            paused=seconds if paused is None else paused,
        )

    @property
    def writes(self) -> bool:
        """Whether there is a checkpoint that `take_written` would give."""
        return self._pending is not None

    @property
    def written(self) -> bool:
        """Whether this rank's part of the checkpoint that is being written is, or the writing of it has failed."""
        return self._pending is not None and self._pending.ended

    def take_written(self) -> Checkpoint:
        """The checkpoint that was being written, once it is complete. Every rank calls this at the same step.

        Raises:
            UserError: it cannot be written, by this rank or by another one; it is no checkpoint then.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            raise RuntimeError("no checkpoint is being written")
        return pending.result()
