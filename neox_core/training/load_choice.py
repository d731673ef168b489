"""Which checkpoints of the directory that `load` names a run may take up, best first; costs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from neox_core.checkpoint.layout import Condition, checkpoints, condition, iteration_of
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest
from neox_core.checkpoint.remote import is_url
from neox_core.checkpoint.search import find, latest, require_complete, require_not_renamed
from neox_core.checkpoint.verification import check_contents
from neox_core.config import CheckpointSettings
from neox_core.errors import UserError

Tell = Callable[[str], None]
"""Told what a user should know but need not mend."""


class LoadChoice(NamedTuple):
    """What there is to load.

    Args:
        path: what to take up; None: there is nothing.
        older: complete checkpoints before it, newest first, to take up in its place should it turn out to be damaged.
        damaged: later ones, which are known to be damaged already.
    """

    path: Path | None
    older: tuple[Path, ...] = ()
    damaged: tuple[Path, ...] = ()


def load_directory(settings: CheckpointSettings) -> Path:
    """Where checkpoints to load are here; for a URL, which `loads_own` found to be the run's own, the directory that it saves to."""
    return Path(str(settings.save if is_url(str(settings.load)) else settings.load))


NOTHING = LoadChoice(None)


def choose(settings: CheckpointSettings, notice: Tell) -> LoadChoice:
    """What `load`, `iteration` and `load_fallback` mean.

    Only a run that loads from where it saves may find nothing: it has not saved yet. A checkpoint that is named itself is never passed
    over for another one.

    Args:
        settings: `load` is set.
        notice: is told of saves that were interrupted, and of what is damaged.

    Raises:
        UserError: it is asked for and not there, or damaged.
    """
    directory = load_directory(settings)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is not a directory; name one that holds checkpoints")

    def interrupted(path: Path) -> None:
        notice(f"{path} has no manifest, as when a save is interrupted: passed over")

    if settings.iteration is None and condition(directory) in (Condition.COMPLETE, Condition.RENAMED):
        chosen = LoadChoice(directory)
        check_files(directory)
    elif settings.load_fallback and settings.iteration is None:
        chosen = _newest_sound(directory, interrupted, notice)
    else:
        chosen = LoadChoice(find(directory, settings.iteration, on_interrupted=interrupted))
        if chosen.path is not None:
            check_files(chosen.path)
    if chosen.path is None:
        if iteration_of(directory.name) is not None:
            require_complete(directory)
        _allow_nothing(settings, directory)
        notice(f"load: there is no checkpoint in {directory} yet: training begins anew")
    return chosen


def check_files(path: Path) -> None:
    """See that all files of a checkpoint are there, as long as they were; their contents are checked where they are read.

    Raises:
        DamagedCheckpoint: one is not, or the manifest cannot be read.
    """
    for name, difference in Manifest.read(path).missing(path).items():
        raise DamagedCheckpoint(path, name, difference)


def with_sound_end(choice: LoadChoice, train_iters: int, notice: Tell) -> LoadChoice:
    """The same choice where there are steps left to train, else with a checkpoint all of which was read, since no rank would read it.

    Args:
        choice: what would be taken up.
        train_iters: the last step of the run.
        notice: is told of what is read, and of what is damaged.

    Raises:
        DamagedCheckpoint: that of the last step is damaged, and there is no older one to take up in its place.
    """
    path = choice.path
    if path is None or Manifest.read(path).iteration < train_iters:
        return choice
    notice(f"load: all of {path} is read, which is of the last step of the run")
    try:
        check_contents(path)
    except DamagedCheckpoint as error:
        if not choice.older:
            raise
        notice(f"load_fallback: {error.fact}: passed over")
        found = _first_sound(choice.older, notice, (*choice.damaged, path))
        if found is None:
            raise
        return found
    return choice


def _first_sound(paths: Sequence[Path], notice: Tell, damaged: tuple[Path, ...] = ()) -> LoadChoice | None:
    """The first of which nothing is known to be wrong; what is before it is damaged, too."""
    for place, path in enumerate(paths):
        try:
            check_files(path)
        except DamagedCheckpoint as error:
            notice(f"load_fallback: {error.fact}: passed over")
            damaged = (*damaged, path)
        else:
            return LoadChoice(path, tuple(paths[place + 1 :]), damaged)
    return None


def _newest_sound(directory: Path, interrupted: Callable[[Path], None], notice: Tell) -> LoadChoice:
    """The newest of which nothing is known to be wrong.

    Raises:
        UserError: all of them are damaged, of the newest; or the newest has the name of another step.
    """
    require_not_renamed(directory)
    named = latest(directory)
    if named is not None and condition(named) is Condition.ABSENT:
        notice(f"load_fallback: {named}, which `latest` names, is not there any more: passed over")
    for path in checkpoints(directory, Condition.INTERRUPTED).values():
        interrupted(path)
    complete = _newest_first(directory)
    if found := _first_sound(complete, notice):
        return found
    if complete:
        try:
            check_files(complete[0])
        except DamagedCheckpoint as error:
            raise UserError(
                f"load_fallback: {directory} holds no checkpoint that is whole. Of the newest, {error.fact}. Restore one from a copy"
            ) from error
    return LoadChoice(find(directory))  # which tells GPT-NeoX's checkpoints from none


def _newest_first(directory: Path) -> list[Path]:
    return [*checkpoints(directory).values()][::-1]


def _allow_nothing(settings: CheckpointSettings, directory: Path) -> None:
    """Raises UserError unless a run may begin anew where there is no checkpoint."""
    looked = f"there is no checkpoint in {directory} (looked for global_step*/manifest.json)"
    if settings.finetune:
        raise UserError(f"{looked}, and finetune: true begins with the weights of one; name a directory that holds it")
    if settings.load_required:
        raise UserError(
            f"{looked}, and load_required is true; name a directory that holds one, or set it to false to begin anew"
        )
    if settings.save is None or Path(settings.save).absolute() != directory.absolute():
        raise UserError(f"{looked}; name a directory that holds one, or remove `load` to begin anew")
