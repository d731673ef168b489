"""Which checkpoint of a directory to load: the newest complete one, or the one asked for, or an error; never a guess."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from neox_core.checkpoint.layout import Condition, checkpoint_path, checkpoints, condition, saved_step
from neox_core.checkpoint.manifest import RenamedCheckpoint
from neox_core.config.presets import LATEST
from neox_core.errors import UserError


def find(
    directory: Path, iteration: int | None = None, *, on_interrupted: Callable[[Path], None] = lambda path: None
) -> Path | None:
    """The checkpoint of `iteration` in `directory`, or else the newest complete one, or None when none was ever completed.

    Newest is the highest iteration. A save that was interrupted is passed over: `on_interrupted` is called with each, in
    the order of iterations, so that the caller can say so.

    Raises:
        UserError: the checkpoint asked for, or the one that `latest` names, is absent or not complete, or the newest has the name of
            another step, or there are only checkpoints that GPT-NeoX or somebody else wrote. It is never passed over for another one.
    """
    if iteration is not None:
        path = checkpoint_path(directory, iteration)
        require_complete(path)
        return path
    require_not_renamed(directory)
    require_latest(directory)
    for interrupted in checkpoints(directory, Condition.INTERRUPTED).values():
        on_interrupted(interrupted)
    complete = checkpoints(directory)
    if complete:
        return complete[max(complete)]
    for foreign in (Condition.GPT_NEOX, Condition.FOREIGN):
        for path in checkpoints(directory, foreign).values():
            require_complete(path)
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
        case Condition.FOREIGN:
            raise UserError(
                f"{path} is not a checkpoint that neox saved: it has no manifest.json, and holds files that neox does not write. "
                "`neox convert` makes a checkpoint of what other programs wrote; what is no checkpoint needs another name."
            )
        case Condition.RENAMED:
            raise RenamedCheckpoint(path, saved_step(path) or 0)
        case Condition.COMPLETE:
            pass


def require_not_renamed(directory: Path) -> None:
    """Raise a UserError where a checkpoint that has the name of another step is, by that or by its own, the newest."""
    newest = max(checkpoints(directory), default=-1)
    for iteration, path in checkpoints(directory, Condition.RENAMED).items():
        if max(iteration, saved_step(path) or 0) > newest:
            require_complete(path)


def require_none_later(directory: Path, iteration: int, ignored: Collection[Path] = ()) -> None:
    """Raise a UserError if `directory` holds a complete checkpoint later than `iteration`, with which a run begins or saves.

    Such a run started from an earlier checkpoint; what it saves would be mixed up with what an earlier run saved, and a
    restart would take up the wrong one.
    """
    there = checkpoints(directory) | checkpoints(directory, Condition.RENAMED)
    later = [path.name for saved, path in sorted(there.items()) if saved > iteration and path not in ignored]
    if later:
        raise UserError(
            f"{directory} holds checkpoints later than iteration {iteration}, where this run is: {', '.join(later)}. "
            "A restart would take those up. Save to another directory, or move them away."
        )


def latest(directory: Path) -> Path | None:
    """The checkpoint that `latest` names, whatever is there; None where there is no such file."""
    file = directory / LATEST
    return directory / file.read_text(errors="replace").strip() if file.is_file() else None


def require_latest(directory: Path) -> None:
    """Raise a UserError unless what `latest` names is a complete checkpoint, or there is no such file."""
    named = latest(directory)
    if named is None:
        return
    try:
        require_complete(named)
    except UserError as error:
        raise UserError(
            f"{directory / LATEST} names '{named.name}', which cannot be loaded. {error}{_ways_on(directory)}"
        ) from error


def _ways_on(directory: Path) -> str:
    """What to do where `latest` names what cannot be loaded, and there are others."""
    complete = checkpoints(directory)
    if not complete:
        return ""
    return f" Name {complete[max(complete)]} itself, or remove {directory / LATEST}."


def _others(path: Path) -> str:
    names = [other.name for other in checkpoints(path.parent).values()]
    if not names:
        return f"There is no complete checkpoint in {path.parent}."
    return f"The complete checkpoints in {path.parent} are: {', '.join(names)}."
