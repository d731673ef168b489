"""Checkpoints at URLs that a run begins with: which they are, what their small files say, and how they come to each host."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoint_path, checkpoints, condition
from neox_core.checkpoint.remote import (
    Facts,
    RemoteCheckpoint,
    StoreError,
    StoreOptions,
    checked,
    find_remote,
    home_of,
    is_url,
    open_store,
    pull,
    remote_checkpoint,
)
from neox_core.config import CheckpointSettings, Resolved
from neox_core.errors import SettingsError, UserError
from neox_core.launch import Rendezvous
from neox_core.launch.breadcrumbs import Breadcrumbs
from neox_core.plugins import PluginManager
from neox_core.training.load_choice import Tell

logger = logging.getLogger("neox")

PAUSE = 0.2
"""Seconds between looks at whether another rank of this host has all of it."""


@dataclass(frozen=True, eq=False)
class Away:
    """A checkpoint at a URL, of which the small files are here until the run begins.

    Args:
        facts: the directory with these.
        destination: where all of it is to be.
    """

    facts: Facts
    destination: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return self.facts.checkpoint.url

    @property
    def path(self) -> Path:
        """The directory with its small files, which stands for it until it is here."""
        return self.facts.path

    @contextmanager
    def spoken(self) -> Iterator[None]:
        """Sentences that come out of the block are about the URL."""
        try:
            yield
        except SettingsError:
            raise
        except UserError as error:
            raise UserError(self.facts.spoken(str(error))) from error

    def told(self, notice: Tell) -> Tell:
        """`notice`, of sentences that are about the URL."""
        return lambda text: notice(self.facts.spoken(text))


def options_of(settings: CheckpointSettings) -> StoreOptions:
    """How a run's stores are talked to."""
    return StoreOptions(part_size=settings.s3_chunk_size, timeout=settings.remote_timeout)


def own_home(settings: CheckpointSettings) -> str | None:
    """The URL that a run copies its checkpoints to; None: it does not."""
    if settings.s3_path is None or settings.save is None:
        return None
    return home_of(settings.s3_path, settings.save)


def loads_own(settings: CheckpointSettings) -> bool:
    """Whether `load` means what the run itself has saved: it names `save`, or where that is copied to."""
    if settings.load is None or settings.save is None:
        return False
    if is_url(settings.load):
        return settings.s3_path is not None and checked(settings.load) in (
            checked(settings.s3_path),
            own_home(settings),
        )
    return Path(settings.load).absolute() == Path(settings.save).absolute()


def load_from_away(resolved: Resolved, plugins: PluginManager, notice: Tell) -> Away | None:
    """The remote checkpoint that a run goes on from, or whose weights `finetune` takes; None: one that is here, or nothing.

    A run that loads what it has saved, and copies it to a store, goes on from the newest that there is in either place.

    Raises:
        UserError: it is asked for and not there; the store does not answer where nothing is here.
    """
    settings = resolved[CheckpointSettings]
    if settings.load is None:
        return None
    home = own_home(settings)
    if home is not None and loads_own(settings) and not settings.finetune:
        return _own(settings, home, plugins, notice)
    if not is_url(settings.load):
        return None
    found = remote_checkpoint(settings.load, plugins, settings.iteration, options_of(settings))
    return _away(found, cache_of(found, settings))


def initial_from_away(resolved: Resolved, plugins: PluginManager) -> Away | None:
    """The remote checkpoint that `initial_ckpt_path` means; None where it is no URL.

    Raises:
        UserError: there is none.
    """
    settings = resolved[CheckpointSettings]
    if settings.initial_ckpt_path is None or not is_url(settings.initial_ckpt_path):
        return None
    found = remote_checkpoint(settings.initial_ckpt_path, plugins, options=options_of(settings))
    return _away(found, cache_of(found, settings))


def _own(settings: CheckpointSettings, home: str, plugins: PluginManager, notice: Tell) -> Away | None:
    """The newest copy of the run's own checkpoints, or that of `iteration`, where it is not here."""
    directory = Path(str(settings.save))
    here = checkpoints(directory)
    if settings.iteration is not None and settings.iteration in here:
        return None
    try:
        found = find_remote(open_store(home, plugins, options_of(settings)), settings.iteration)
    except StoreError as error:
        if not here:
            raise UserError(
                f"s3_path: there is no checkpoint in {directory}, and whether there is one at {home} cannot be found out: {error}. To "
                "begin anew all the same, remove load"
            ) from error
        notice(f"s3_path: whether later checkpoints are at {home} cannot be found out: {error}")
        return None
    if found is None or (settings.iteration is None and found.iteration <= max(here, default=-1)):
        return None
    notice(f"s3_path: the run goes on from {found.url}, which is later than what is in {directory}")
    return _away(found, checkpoint_path(directory, found.iteration))


def _away(checkpoint: RemoteCheckpoint, destination: Path) -> Away:
    checkpoint.check()
    if condition(destination) not in (Condition.ABSENT, Condition.COMPLETE):
        raise UserError(
            f"{destination} is not a complete checkpoint; remove it, so that {checkpoint.url} can be put there"
        )
    return Away(Facts(checkpoint), destination.absolute())


def cache_of(checkpoint: RemoteCheckpoint, settings: CheckpointSettings) -> Path:
    """Where a remote checkpoint is kept that is not the run's own: a place that no other one has."""
    if settings.remote_cache is not None:
        cache = Path(settings.remote_cache)
    elif settings.save is not None:
        cache = Path(settings.save) / ".remote"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neox" / "checkpoints"
    digest = hashlib.sha256(checkpoint.url.encode() + checkpoint.manifest_text).hexdigest()[:12]
    return cache / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', checkpoint.store.url)}-{digest}" / checkpoint.folder


def bring(
    wanted: tuple[tuple[str, str], ...],
    resolved: Resolved,
    plugins: PluginManager,
    place: Rendezvous,
    crumbs: Breadcrumbs,
) -> None:
    """Have checkpoints on this host before its ranks go on: one of them copies, the others wait.

    To the directory that the run saves to, which all hosts see, rank 0 copies alone: file systems that hosts share may have no locks.

    Args:
        wanted: the URL of each, and where it is to be.
        resolved: the run.
        plugins: where stores are looked up.
        place: of this rank.
        crumbs: of this rank.

    Raises:
        UserError: it cannot be had.
    """
    settings = resolved[CheckpointSettings]
    options, save = options_of(settings), settings.save
    for url, destination in wanted:
        path = Path(destination)
        shared = save is not None and path.is_relative_to(Path(save).absolute())
        if place.rank if shared else place.local_rank:
            while condition(path) is not Condition.COMPLETE:
                time.sleep(PAUSE)
            continue
        began, checkpoint = time.monotonic(), remote_checkpoint(url, plugins, options=options)
        if place.rank == 0:
            logger.info("copying %s to %s", url, path)
        pull(checkpoint, path, options, tell=lambda size: crumbs.at("copying a checkpoint here"))
        if place.rank == 0:
            logger.info("%s is here (%.1f s)", url, time.monotonic() - began)
