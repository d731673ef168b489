"""`neox checkpoint ls`: the checkpoints of a directory, and what else lies there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from neox_commands.checkpoint_away import away, latest_away
from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import Condition, all_set_aside, checkpoints, condition, iteration_of
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest, RenamedCheckpoint
from neox_core.checkpoint.remote import RemoteCheckpoint, Store, below, is_url, open_home
from neox_core.checkpoint.remote.places import is_complete
from neox_core.checkpoint.search import latest
from neox_core.cli.tables import table
from neox_core.config.parser import RaisingParser
from neox_core.config.presets import MANIFEST
from neox_core.errors import UserError
from neox_core.plugins import CommandContext


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint ls",
        description="The checkpoints of directories: their steps, ranks, sizes, and whether they are whole. Files are looked at, and "
        "not read: `neox checkpoint verify` does that.",
    )
    command.add_argument(
        "directories", nargs="*", default=["."], metavar="DIRECTORY", help="as `save` names them (.), or URLs"
    )
    add_json(command)
    return command


class Listed(NamedTuple):
    """A directory that is named like a checkpoint.

    Args:
        path: it, or its URL.
        state: `complete`, `damaged`, `renamed`: called like that of another step, `interrupted`, `GPT-NeoX`, `foreign`: what
            somebody else has put there, `set aside`: what a run has passed over as damaged, or `absent`: what `latest` names.
        iteration: the step that its name has; None: it has none.
        ranks: how the run was cut.
        size: in bytes.
        saved: when, in seconds since the epoch.
        remark: what is wrong, if anything.
        latest: whether `latest` names it.
        weights_alone: whether it has nothing of an optimizer.
    """

    path: Path | str
    state: str
    iteration: int | None
    ranks: str = ""
    size: int | None = None
    saved: float | None = None
    remark: str = ""
    latest: bool = False
    weights_alone: bool = False


def main(argv: list[str], context: CommandContext) -> int:
    """List them."""
    options = parser().parse(argv)
    found = [listed for given in options.directories for listed in entries(given, context)]
    if options.json:
        print(json_text([as_data(listed) for listed in found]))
    else:
        print(table([HEADER, *map(_row, found)]))
    return 0


HEADER = ["", "step", "state", "ranks", "size", "saved", ""]


def entries(given: str, context: CommandContext) -> Iterator[Listed]:
    """What is in a directory or at a URL, by rising steps.

    Raises:
        UserError: there is no such directory, or nothing in it that is named like a checkpoint; a store does not answer.
    """
    yield from entries_away(given, context) if is_url(given) else entries_here(Path(given))


def entries_away(url: str, context: CommandContext) -> Iterator[Listed]:
    """What is in a store."""
    store = open_home(url, context.plugins)
    named = latest_away(store)
    found = [_looked_at_away(store, folder, number, named) for number, folder in away(store).items()]
    if named and named not in store.folders():
        found.append(_not_here(below(store.url, named), named))
    yield from sorted(found, key=_place)


def _looked_at_away(store: Store, folder: str, number: int, named: str) -> Listed:
    listed = Listed(below(store.url, folder), "interrupted", number, latest=folder == named)
    if not is_complete(store, folder):
        return listed
    checkpoint = RemoteCheckpoint(store, folder)
    try:
        manifest, missing = checkpoint.manifest, checkpoint.missing()
    except RenamedCheckpoint as error:
        return listed._replace(state="renamed", remark=error.fact)
    except UserError as error:
        return listed._replace(state="damaged", remark=str(error))
    return _described(listed, manifest, missing)


def entries_here(directory: Path) -> Iterator[Listed]:
    """What is in a directory."""
    if not directory.is_dir():
        raise UserError(f"{directory}: there is no such directory; give one that holds checkpoints")
    named = latest(directory)
    name = "" if named is None else named.name
    states = {Condition.INTERRUPTED: "interrupted", Condition.GPT_NEOX: "GPT-NeoX", Condition.FOREIGN: "foreign"}
    ours = checkpoints(directory) | checkpoints(directory, Condition.RENAMED)
    found = [_looked_at(path, number, name) for number, path in ours.items()]
    for other, state in states.items():
        others = checkpoints(directory, other)
        found += [Listed(path, state, number, latest=path.name == name) for number, path in others.items()]
    found += [_set_aside(path, number) for path, number in all_set_aside(directory).items()]
    if named is not None and condition(named) is Condition.ABSENT:
        found.append(_not_here(named, name))
    if not found:
        raise UserError(f"{directory} holds no directory global_step...; give one that `save` names")
    yield from sorted(found, key=_place)


def _place(listed: Listed) -> float:
    """By which what was found is sorted."""
    return math.inf if listed.iteration is None else listed.iteration


def _looked_at(path: Path, number: int, named: str) -> Listed:
    listed = Listed(path, "damaged", number, saved=(path / MANIFEST).stat().st_mtime, latest=path.name == named)
    try:
        manifest = Manifest.read(path)
    except RenamedCheckpoint as error:
        return listed._replace(state="renamed", remark=error.fact)
    except DamagedCheckpoint as error:
        return listed._replace(remark=error.fact)
    except UserError as error:
        return listed._replace(state="unknown", remark=str(error))
    return _described(listed, manifest, manifest.missing(path))


def _described(listed: Listed, manifest: Manifest, missing: Mapping[str, str]) -> Listed:
    """What its manifest says of it, and which of its files are not as they were."""
    remark = next((f"{name}: {difference}" for name, difference in missing.items()), "")
    state = "damaged" if missing else "complete"
    return listed._replace(
        state=state,
        ranks=str(manifest.topology),
        size=manifest.size,
        remark=remark,
        weights_alone=manifest.holds_weights_alone,
    )


def _set_aside(path: Path, number: int) -> Listed:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    remark = "damaged, passed over by load_fallback; nothing loads or prunes it"
    return Listed(path, "set aside", number, size=size, remark=remark)


def _not_here(path: Path | str, name: str) -> Listed:
    return Listed(path, "absent", iteration_of(name), remark=f"latest names {name}, which is not here")


def _row(listed: Listed) -> list[str]:
    size = "" if listed.size is None else in_words(listed.size)
    saved = "" if listed.saved is None else datetime.fromtimestamp(listed.saved).strftime("%Y-%m-%d %H:%M")
    marks = ["<- latest" if listed.latest else "", "weights alone" if listed.weights_alone else "", listed.remark]
    step = "" if listed.iteration is None else f"{listed.iteration:,}"
    return [str(listed.path), step, listed.state, listed.ranks, size, saved, "  ".join(filter(None, marks))]


def as_data(listed: Listed) -> dict[str, Any]:
    """Plain data."""
    return {**listed._asdict(), "path": str(listed.path)}
