"""`neox checkpoint ls`: the checkpoints of a directory, and what else lies there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from neox_commands.checkpoint_away import away, latest_away
from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import Condition, checkpoints
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest
from neox_core.checkpoint.remote import RemoteCheckpoint, below, is_url, open_home
from neox_core.checkpoint.remote.places import is_complete
from neox_core.cli.tables import table
from neox_core.config.parser import RaisingParser
from neox_core.config.presets import LATEST, MANIFEST
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
        state: `complete`, `damaged`, `interrupted`, `GPT-NeoX`, or `foreign`: what somebody else has put there.
        iteration: the step after which it was saved.
        ranks: how the run was cut.
        size: in bytes.
        saved: when, in seconds since the epoch.
        remark: what is wrong, if anything.
        latest: whether `latest` names it.
    """

    path: Path | str
    state: str
    iteration: int
    ranks: str = ""
    size: int | None = None
    saved: float | None = None
    remark: str = ""
    latest: bool = False


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
    for number, folder in away(store).items():
        listed = Listed(below(store.url, folder), "interrupted", number, latest=folder == named)
        if is_complete(store, folder):
            checkpoint = RemoteCheckpoint(store, folder)
            try:
                manifest, missing = checkpoint.manifest, checkpoint.missing()
            except UserError as error:
                listed = listed._replace(state="damaged", remark=str(error))
            else:
                remark = next((f"{name}: {difference}" for name, difference in missing.items()), "")
                state, ranks = "damaged" if missing else "complete", str(manifest.topology)
                listed = listed._replace(state=state, ranks=ranks, size=manifest.size, remark=remark)
        yield listed


def entries_here(directory: Path) -> Iterator[Listed]:
    """What is in a directory."""
    if not directory.is_dir():
        raise UserError(f"{directory}: there is no such directory; give one that holds checkpoints")
    named = _name_of_latest(directory)
    states = {Condition.INTERRUPTED: "interrupted", Condition.GPT_NEOX: "GPT-NeoX", Condition.FOREIGN: "foreign"}
    found = {number: _looked_at(path, number, named) for number, path in checkpoints(directory).items()}
    for condition, state in states.items():
        others = checkpoints(directory, condition)
        found |= {number: Listed(path, state, number, latest=path.name == named) for number, path in others.items()}
    if not found:
        raise UserError(f"{directory} holds no directory global_step...; give one that `save` names")
    yield from (found[number] for number in sorted(found))


def _looked_at(path: Path, number: int, latest: str) -> Listed:
    listed = Listed(path, "damaged", number, saved=(path / MANIFEST).stat().st_mtime, latest=path.name == latest)
    try:
        manifest = Manifest.read(path)
    except DamagedCheckpoint as error:
        return listed._replace(remark=error.fact)
    except UserError as error:
        return listed._replace(state="unknown", remark=str(error))
    missing = [f"{name}: {difference}" for name, difference in manifest.missing(path).items()]
    state = "damaged" if missing else "complete"
    return listed._replace(state=state, ranks=str(manifest.topology), size=manifest.size, remark="; ".join(missing[:1]))


def _name_of_latest(directory: Path) -> str:
    latest = directory / LATEST
    return latest.read_text(errors="replace").strip() if latest.is_file() else ""


def _row(listed: Listed) -> list[str]:
    size = "" if listed.size is None else in_words(listed.size)
    saved = "" if listed.saved is None else datetime.fromtimestamp(listed.saved).strftime("%Y-%m-%d %H:%M")
    remark = "  ".join(filter(None, ["<- latest" if listed.latest else "", listed.remark]))
    return [str(listed.path), f"{listed.iteration:,}", listed.state, listed.ranks, size, saved, remark]


def as_data(listed: Listed) -> dict[str, Any]:
    """Plain data."""
    return {**listed._asdict(), "path": str(listed.path)}
