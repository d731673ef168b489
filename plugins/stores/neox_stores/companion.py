"""Goes along with a run that has `s3_path`, on every rank."""

from __future__ import annotations

import logging
from pathlib import Path

from neox_core.checkpoint.layout import checkpoints
from neox_core.checkpoint.remote import StoreOptions, home_of, open_store
from neox_core.config import CheckpointSettings, Resolved
from neox_core.plugins import PluginManager
from neox_core.training import Checkpoint, Run
from neox_stores.copier import Copier, Task
from neox_stores.follower import Follower
from neox_stores.leader import Leader

logger = logging.getLogger("neox")


def build(resolved: Resolved, plugins: PluginManager) -> Copies:
    """For one rank of one run."""
    return Copies(resolved[CheckpointSettings], plugins)


class Copies:
    """Copies the checkpoints of a run to `s3_path`; nothing that a store does or fails to do ends the run."""

    def __init__(self, settings: CheckpointSettings, plugins: PluginManager) -> None:
        self._settings, self._plugins = settings, plugins
        self._copier: Copier | None = None

    def neox_train_start(self, run: Run) -> None:
        """Begin, with the newest checkpoint that is here already: it may not have been copied."""
        settings = self._settings
        if settings.save is None or settings.s3_path is None:
            return
        home, directory = home_of(settings.s3_path, settings.save), Path(settings.save)
        options = StoreOptions(part_size=settings.s3_chunk_size, timeout=settings.remote_timeout)
        task = Task(
            url=home,
            open_store=lambda: open_store(home, self._plugins, options),
            options=options,
            directory=directory,
            rank=run.rank,
            world_size=run.world_size,
            keep_last=settings.keep_last_n_checkpoints,
            run=str(run.directory),
        )
        self._copier = Follower(task) if run.rank else Leader(task)
        if run.is_main:
            logger.info("s3_path: checkpoints are copied to %s", home)
        here = checkpoints(directory)
        if here:
            self._copier.offer(here[max(here)])

    def neox_checkpoint_saved(self, checkpoint: Checkpoint) -> None:
        """Have it copied."""
        if self._copier is not None:
            self._copier.offer(checkpoint.path)

    def neox_train_end(self, error: BaseException | None) -> None:
        """Wait for what is under way; not where the run failed, since other ranks are being ended."""
        if self._copier is not None:
            orderly = error is None or isinstance(error, SystemExit)
            self._copier.finish(self._settings.remote_wait if orderly else 0.0)
