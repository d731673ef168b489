"""Which checkpoint of a directory to load: the newest complete one, or the one asked for, or an error; never a guess."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoint_path, checkpoints, condition
from neox_core.config.presets import LATEST
from neox_core.errors import UserError


def find(
    directory: Path, iteration: int | None = None, *, on_interrupted: Callable[[Path], None] = lambda path: None
) -> Path | None:
    """The checkpoint of `iteration` in `directory`, or else the newest complete one, or None when none was ever completed.

    Newest is the highest iteration. A save that was interrupted is passed over: `on_interrupted` is called with each, in
    the order of iterations, so that the caller can say so.

    Raises:
        UserError: the checkpoint asked for, or the one that `latest` names, is absent or not complete, or there are only
            checkpoints that GPT-NeoX wrote. It is never passed over for another one.
    """
    if iteration is not None:
        path = checkpoint_path(directory, iteration)
        require_complete(path)
        return path
    _check_latest(directory)
    for interrupted in checkpoints(directory, Condition.INTERRUPTED).values():
        on_interrupted(interrupted)
    complete = checkpoints(directory)
    if complete:
        return complete[max(complete)]
    for foreign in checkpoints(directory, Condition.GPT_NEOX).values():
        require_complete(foreign)
    return None


def require_complete(path: Path) -> None:
    """Raise a UserError that says what is at `path` and what to do, unless it is a complete checkpoint."""
    match condition(path):
        case Condition.ABSENT:
            raise UserError(f"{path}: there is no such checkpoint. {_others(path)}")
        case Condition.INTERRUPTED:
            raise UserError(
                f"{path} is not a complete checkpoint: it has no manifest.json, as when a save is interrupted. "
                f"{_others(path)}"
            )
        case Condition.GPT_NEOX:
            raise UserError(
                f"{path} was written by GPT-NeoX (it holds *.pt files and no manifest.json). Convert it first: "
                "`neox migrate` makes a run of neox of it, and `neox convert` a checkpoint."
            )
        case Condition.COMPLETE:
            pass


def require_none_later(directory: Path, iteration: int, ignored: Collection[Path] = ()) -> None:
    """Raise a UserError if `directory` holds a complete checkpoint later than `iteration`, with which a run begins or saves.

    Such a run started from an earlier checkpoint; what it saves would be mixed up with what an earlier run saved, and a
    restart would take up the wrong one.
    """
    later = [path.name for saved, path in checkpoints(directory).items() if saved > iteration and path not in ignored]
    if later:
        raise UserError(
            f"{directory} holds checkpoints later than iteration {iteration}, where this run is: {', '.join(later)}. "
            "A restart would take those up. Save to another directory, or move them away."
        )


def _check_latest(directory: Path) -> None:
    latest = directory / LATEST
    if not latest.is_file():
        return
    name = latest.read_text(errors="replace").strip()
    try:
        require_complete(directory / name)
    except UserError as error:
        raise UserError(f"{latest} names '{name}', which cannot be loaded. {error}") from error


def _others(path: Path) -> str:
    names = [other.name for other in checkpoints(path.parent).values()]
    if not names:
        return f"There is no complete checkpoint in {path.parent}."
    return f"The complete checkpoints in {path.parent} are: {', '.join(names)}."
