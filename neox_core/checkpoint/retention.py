"""Which old checkpoints to delete, and how, so that a complete one is always left."""

from __future__ import annotations

from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoints, point_latest, remove
from neox_core.checkpoint.manifest import Manifest, RenamedCheckpoint
from neox_core.errors import UserError


def doomed(directory: Path, keep_last: int) -> list[Path]:
    """What `prune` would delete, oldest first: all but the newest `keep_last` checkpoints, and what before the newest is not whole.

    A checkpoint is whole if its manifest can be read and its files are there and as long as they were. The newest such one is never
    among them, whatever `keep_last` is, nor is one that somebody gave the name of another step, nor anything that GPT-NeoX or
    somebody else wrote.
    """
    complete = {iteration: path for iteration, path in checkpoints(directory).items() if not _is_renamed(path)}
    whole = [iteration for iteration, path in complete.items() if _is_whole(path)]
    if not whole:
        return []
    newest, kept = whole[-1], whole[-max(keep_last, 1) :]
    candidates = complete | checkpoints(directory, Condition.INTERRUPTED)
    return [candidates[iteration] for iteration in sorted(candidates) if iteration < newest and iteration not in kept]


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


def _is_renamed(path: Path) -> bool:
    try:
        Manifest.read(path)
    except RenamedCheckpoint:
        return True
    except UserError:
        return False
    return False


def _is_whole(path: Path) -> bool:
    try:
        return not Manifest.read(path).missing(path)
    except UserError:
        return False
