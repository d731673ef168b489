"""Which checkpoint of another family `--iteration` means, for verbs that read those."""

from __future__ import annotations

from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoint_path, checkpoints, iteration_of
from neox_core.errors import UserError


def at_step(where: Path, iteration: int | None, said: str = "--iteration") -> Path:
    """The checkpoint of a step.

    Args:
        where: a directory of checkpoints, or the one that is meant.
        iteration: the step; None: whichever the family takes of the directory.
        said: what gave the step, for messages.

    Raises:
        UserError: there is none of that step; the sentence lists those that are there.
    """
    own = iteration_of(where.absolute().name)
    if iteration is None or not where.is_dir() or own == iteration:
        return where
    path = checkpoint_path(where, iteration)
    if path.is_dir():
        return path
    if own is not None:
        raise UserError(f"{said} {iteration}: {where} is the checkpoint of step {own}; leave {said} out")
    there = [*checkpoints(where, Condition.GPT_NEOX)]
    if not there:
        raise UserError(
            f"{said} {iteration}: {where} holds no checkpoints by steps (global_step...): leave {said} out to take {where} "
            "itself"
        )
    raise UserError(
        f"{said} {iteration}: {where} holds no checkpoint of that step; there is step {', '.join(map(str, there))}"
    )
