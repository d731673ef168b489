"""Where the parts of a checkpoint lie, and what a directory named like a checkpoint really is.

SAVE/latest                              the name of the newest directory: a convenience, never the proof
SAVE/global_step{N}/manifest.json        written last; a checkpoint is complete if, and only if, it is there
SAVE/global_step{N}/index.json           which shard holds which piece of which parameter
SAVE/global_step{N}/state.json           iteration, consumed samples and the like
SAVE/global_step{N}/settings.yml, ...    files that the caller adds: origins.json, plugins.json, environment.json, tokenizer.json
                                         and what lies beside that: tokenizer_config.json, chat_template.jinja
SAVE/global_step{N}/shards/rank-{R}.safetensors
SAVE/global_step{N}/shards/part-{N}.safetensors   in place of those: of what was converted, or made of other checkpoints
SAVE/global_step{N}/random/rank-{R}.json
SAVE/global_step{N}/streams/rank-{R}.json   where a rank's streams of samples are, in runs that have such
"""

from __future__ import annotations

import itertools
import re
import shutil
from enum import Enum, auto
from pathlib import Path

from neox_core.config.presets import LATEST, MANIFEST
from neox_core.errors import UserError
from neox_core.files import remove_leftovers, sync_directory, write_file

INDEX = "index.json"
STATE = "state.json"
PLUGINS = "plugins.json"
PER_RANK = ("shards/", "random/", "streams/")
"""Beginnings of the names of files of which there is one for each rank."""

_DIRECTORY = re.compile(r"global_step(0|[1-9][0-9]*)")
_STEP = re.compile(rb'"iteration": ?([0-9]+)')
_HEAD = 256  # bytes of a manifest in which its step is
_SET_ASIDE = re.compile(r"(?P<name>.+)\.damaged[0-9]*")


class Condition(Enum):
    """What there is where a checkpoint could be."""

    ABSENT = auto()
    INTERRUPTED = auto()  # a save that did not reach its manifest, or a removal that did not reach its end
    GPT_NEOX = auto()  # not ours: never loaded, written to or removed
    FOREIGN = auto()  # nor is what somebody else has put there, such as an exported model
    RENAMED = auto()  # complete, with the name of another step: never loaded, nor removed
    COMPLETE = auto()


def checkpoint_path(directory: Path, iteration: int) -> Path:
    """Where `directory` keeps the checkpoint of `iteration`."""
    return directory / f"global_step{iteration}"


def shard_name(rank: int) -> str:
    """Name, within a checkpoint, of the tensors that `rank` wrote."""
    return f"shards/rank-{rank:05d}.safetensors"


def part_name(number: int) -> str:
    """Name, within a checkpoint that no run saved, of some of its tensors."""
    return f"shards/part-{number:05d}.safetensors"


def random_state_name(rank: int) -> str:
    """Name, within a checkpoint, of the random state of `rank`."""
    return f"random/rank-{rank:05d}.json"


def stream_state_name(rank: int) -> str:
    """Name, within a checkpoint, of where the streams of `rank` are."""
    return f"streams/rank-{rank:05d}.json"


def condition(path: Path) -> Condition:
    """What there is at `path`."""
    if (path / MANIFEST).is_file():
        return (
            Condition.COMPLETE if iteration_of(path.absolute().name) in (None, saved_step(path)) else Condition.RENAMED
        )
    if not path.is_dir():
        return Condition.ABSENT
    if any(path.glob("*.pt")):
        return Condition.GPT_NEOX
    try:
        return Condition.FOREIGN if any(map(_is_foreign, path.iterdir())) else Condition.INTERRUPTED
    except FileNotFoundError:  # another process has removed it by now
        return Condition.ABSENT


def saved_step(path: Path) -> int | None:
    """The step after which a complete checkpoint was saved, whatever its name says; that of the name where its manifest tells none."""
    try:
        with (path / MANIFEST).open("rb") as stream:
            found = _STEP.search(stream.read(_HEAD))
    except OSError:
        found = None  # which is told where the manifest is read
    return int(found[1]) if found else iteration_of(path.absolute().name)


def _is_foreign(entry: Path) -> bool:
    """Whether something in the directory of a checkpoint cannot be a part of it. What is hidden may be left of an unfinished file."""
    if entry.name.startswith("."):
        return False
    return f"{entry.name}/" not in PER_RANK if entry.is_dir() else entry.suffix not in (".json", ".yml", ".jinja")


def checkpoints(directory: Path, wanted: Condition = Condition.COMPLETE) -> dict[int, Path]:
    """The checkpoints of `directory` that are in the wanted condition, by rising iteration; none if it does not exist."""
    if not directory.is_dir():
        return {}
    found = {iteration: path for path in directory.iterdir() if (iteration := iteration_of(path.name)) is not None}
    return {iteration: path for iteration, path in sorted(found.items()) if condition(path) is wanted}


def point_latest(path: Path) -> None:
    """Let `latest`, beside the checkpoint `path`, name it. Only one process at a time may call this for a directory."""
    latest = path.parent / LATEST
    remove_leftovers(latest)
    write_file(latest, f"{path.name}\n")


def remove(path: Path) -> None:
    """Remove the checkpoint `path`, its manifest durably first: what a crash leaves of it is not complete.

    Of a link to a checkpoint that lies elsewhere the link alone is removed.

    Raises:
        UserError: the file system refuses; what is left is no complete checkpoint.
    """
    try:
        if path.is_symlink():
            path.unlink()
        else:
            (path / MANIFEST).unlink(missing_ok=True)
            sync_directory(path)
            shutil.rmtree(path)
        sync_directory(path.parent)
    except OSError as error:
        raise UserError(
            f"{path} cannot be removed: {error}; mend the permissions there, or remove it by hand"
        ) from error


def set_aside(path: Path) -> Path:
    """Give a checkpoint a name by which it is none any more, and keep all of it; its new place."""
    names = (f"{path.name}.damaged{number or ''}" for number in itertools.count())
    place = next(place for place in map(path.with_name, names) if not place.exists())
    path.rename(place)
    sync_directory(path.parent)
    return place


def all_set_aside(directory: Path) -> dict[Path, int]:
    """What `set_aside` has kept in `directory`, in the order of names, and of which step each is."""
    named = {path: _SET_ASIDE.fullmatch(path.name) for path in sorted(directory.iterdir()) if path.is_dir()}
    steps = {path: iteration_of(match["name"]) for path, match in named.items() if match}
    return {path: step for path, step in steps.items() if step is not None}


def previous(path: Path) -> Path | None:
    """The newest complete checkpoint before one, in the same directory."""
    iteration = iteration_of(path.name)
    found = checkpoints(path.parent) if iteration is not None else {}
    return next((found[number] for number in sorted(found, reverse=True) if number < (iteration or 0)), None)


def iteration_of(name: str) -> int | None:
    """The iteration that the name of a directory says; None where it is not called like a checkpoint."""
    match = _DIRECTORY.fullmatch(name)
    return int(match[1]) if match else None
