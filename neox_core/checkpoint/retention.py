"""Which old checkpoints to delete, and how, so that a complete one is always left."""

from __future__ import annotations

from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoints, point_latest, remove


def prune(directory: Path, keep_last: int) -> list[Path]:
    """Delete all but the newest `keep_last` complete checkpoints, and interrupted saves older than the newest one.

    The newest complete checkpoint is never deleted, whatever `keep_last` is, nor is anything that GPT-NeoX wrote. Only one
    rank may call this, and none while a save is under way.

    Returns:
        What was deleted, oldest first.
    """
    complete = checkpoints(directory)
    if not complete:
        return []
    newest, kept = max(complete), sorted(complete)[-max(keep_last, 1) :]
    # A crash between a manifest and `latest` leaves `latest` naming a checkpoint that may be deleted here.
    point_latest(complete[newest])
    candidates = complete | checkpoints(directory, Condition.INTERRUPTED)
    doomed = [candidates[iteration] for iteration in sorted(candidates) if iteration < newest and iteration not in kept]
    for path in doomed:
        remove(path)
    return doomed
