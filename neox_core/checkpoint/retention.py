"""Which old checkpoints to delete, and how, so that a complete one is always left."""

from __future__ import annotations

from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoints, point_latest, remove
from neox_core.checkpoint.manifest import Manifest
from neox_core.errors import UserError


def doomed(directory: Path, keep_last: int) -> list[Path]:
    """What `prune` would delete, oldest first: all but the newest `keep_last` checkpoints, and what before the newest is not whole.

    The newest of those that are `whole` is never among them, whatever `keep_last` is, nor is one that somebody gave the name of
    another step, nor anything that GPT-NeoX or somebody else wrote.
    """
    complete, sound = checkpoints(directory), [*whole(directory)]
    if not sound:
        return []
    newest, kept = sound[-1], sound[-max(keep_last, 1) :]
    candidates = complete | checkpoints(directory, Condition.INTERRUPTED)
    return [candidates[iteration] for iteration in sorted(candidates) if iteration < newest and iteration not in kept]


def whole(directory: Path) -> dict[int, Path]:
    """The checkpoints of a directory whose manifest can be read and whose files are as long as they were, the oldest first."""
    return {iteration: path for iteration, path in checkpoints(directory).items() if _is_whole(path)}


def prune(directory: Path, keep_last: int) -> list[Path]:
    """Delete what is `doomed`, and return it. Only one rank may call this, and none while a save is under way.

    Raises:
        UserError: the file system refuses to delete one; the others are deleted.
    """
    paths, complete = doomed(directory, keep_last), checkpoints(directory)
    if complete:
        # A crash between a manifest and `latest` leaves `latest` naming a checkpoint that may be deleted here.
        point_latest(complete[max(complete)])
    refusals = list[UserError]()
    for path in paths:
        try:
            remove(path)
        except UserError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
    return paths


def _is_whole(path: Path) -> bool:
    try:
        return not Manifest.read(path).missing(path)
    except UserError:
        return False
