"""When a run saves, and what it puts into a checkpoint."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neox_core.checkpoint import Group, Manifest, capture, prune, save
from neox_core.checkpoint.group import together
from neox_core.checkpoint.layout import PLUGINS, set_aside
from neox_core.config import CheckpointSettings, Resolved, TokenizerSettings, dump_yaml
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.data.tokenizers import read_source
from neox_core.plugins import PluginManager
from neox_core.training.engine import Engine
from neox_core.training.lock import DirectoryLock
from neox_core.training.measures import Measures
from neox_core.training.progress import Progress
from neox_core.training.resuming import TOKENIZER
from neox_core.training.run import Checkpoint

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


class Saver:
    """Writes the checkpoints of a run into the directory that `save` names."""

    def __init__(
        self, resolved: Resolved, plugins: PluginManager, group: Group, *, damaged: Iterable[Path] = ()
    ) -> None:
        """Take the directory, and set aside what in it is later than where the run is, and damaged."""
        self._settings, self._group = resolved[CheckpointSettings], group
        self._files: dict[str, str | bytes] = {
            CHECKPOINT_SETTINGS: dump_yaml(resolved.values),
            PLUGINS: json.dumps(plugins.manifest(), indent=1),
        }
        self._facts = {"vocabulary": resolved.vocabulary, "padded_vocab_size": resolved.padded_vocab_size}
        self._looked_at = False
        if self.enabled:
            together(group, "Taking the directory of checkpoints", lambda: self._take_directory(damaged))
        described = resolved[TokenizerSettings]
        if described.vocab_file is not None and group.rank == 0:
            source = read_source(described.tokenizer_type, described.vocab_file, described.merge_file)
            self._files[TOKENIZER] = source.dump()

    def _take_directory(self, damaged: Iterable[Path]) -> None:
        directory = Path(str(self._settings.save))
        self._lock = DirectoryLock(directory) if self._group.rank == 0 else None
        for path in damaged:
            if self._group.rank == 0 and path.parent.absolute() == directory.absolute():
                logger.warning("%s is damaged, and is now %s", path, set_aside(path).name)

    def look_at(self, engine: Engine) -> None:
        """Find out, once the optimizer has its state, whether all of it can be saved, instead of at the first checkpoint.

        Raises:
            UserError: it cannot.
        """
        if self.enabled and not self._looked_at:
            self._looked_at = True
            for _ in engine.fragments():
                pass

    @property
    def enabled(self) -> bool:
        """Whether the run saves at all."""
        return self._settings.save is not None

    def save(
        self, engine: Engine, progress: Progress, measures: Measures, stream_state: Mapping[str, Any] | None
    ) -> Checkpoint:
        """Save; returns when the checkpoint is complete, on every rank."""
        start = time.monotonic()
        directory = Path(str(self._settings.save))
        path = save(
            directory,
            iteration=progress.iteration,
            fragments=engine.fragments(),
            state=progress.to_dict() | engine.state() | measures.state() | self._facts,
            files=self._files,
            random_state=None if self._settings.no_save_rng else capture(),
            group=self._group,
            topology=engine.mesh.topology,
            stream_state=stream_state,
        )
        if self._group.rank == 0 and self._settings.keep_last_n_checkpoints is not None:
            prune(directory, self._settings.keep_last_n_checkpoints)
        seconds = time.monotonic() - start
        size = Manifest.read(path).size
        return Checkpoint(path=path, iteration=progress.iteration, seconds=seconds, bytes=size)
