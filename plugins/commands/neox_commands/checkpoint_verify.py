"""`neox checkpoint verify`: read checkpoints from end to end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from neox_commands.checkpoint_away import latest_away, meant_away, problems_away
from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import Condition, checkpoints
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.remote import RemoteCheckpoint, below, checked, is_url
from neox_core.checkpoint.remote.places import is_complete
from neox_core.checkpoint.remote.pushing import CLAIM
from neox_core.checkpoint.search import require_latest
from neox_core.config.parser import RaisingParser
from neox_core.config.presets import LATEST
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

SHOWN = 5
"""How many files a line names."""


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint verify",
        description="Read every file of checkpoints and hold it against the size and sha256 that the manifest has; then see that all "
        "elements of all tensors are there. Exit code 2 where something is wrong.",
    )
    command.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a checkpoint, or a directory of checkpoints, all of which are read; or URLs",
    )
    add_json(command)
    return command


class Verified(NamedTuple):
    """A checkpoint that was read.

    Args:
        path: it, or its URL.
        files: how many it has.
        size: of them, in bytes.
        mistakes: what is wrong.
        extra: files there that are no part of it.
    """

    path: Path | str
    files: int
    size: int
    mistakes: tuple[str, ...]
    extra: tuple[str, ...] = ()


def main(argv: list[str], context: CommandContext) -> int:
    """Verify each; what is wrong with one does not keep the others from being looked at."""
    options = parser().parse(argv)
    found = [each for given in options.paths for each in all_verified(given, context)]
    if options.json:
        print(json_text([{**each._asdict(), "path": str(each.path)} for each in found]))
    for each in found:
        if not options.json and not each.mistakes:
            print(f"{each.path}: {each.files} files, {in_words(each.size)}: as they were written")
        for mistake in each.mistakes:
            print(f"error: {mistake}", file=sys.stderr)
        if each.extra:
            print(f"note: {each.path}: no part of it: {_some(each.extra)}", file=sys.stderr)
    return UserError.exit_code if any(each.mistakes for each in found) else 0


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def all_verified(given: str, context: CommandContext) -> Iterator[Verified]:
    """What a path or a URL means, read; of a directory of checkpoints `latest`, too, where it is wrong."""
    yield from verified_away(given, context) if is_url(given) else verified_here(Path(given))


def verified_away(url: str, context: CommandContext) -> Iterator[Verified]:
    """What is in a store."""
    found = meant_away(url, context)
    yield from map(read_away, found)
    store = found[0].store
    named = latest_away(store) if found[0].url != checked(url) else ""
    if named and not is_complete(store, named):
        place = below(store.url, LATEST)
        yield Verified(
            place, 0, 0, (f"{place} names {named}, which is no complete checkpoint there; push one, or remove it",)
        )


def read_away(checkpoint: RemoteCheckpoint) -> Verified:
    """Read a checkpoint in a store and say what is wrong with it."""
    try:
        manifest = checkpoint.manifest
    except UserError as error:
        return Verified(checkpoint.url, 0, 0, (str(error),))
    names = {stored.name.removeprefix(checkpoint.at("")) for stored in checkpoint.store.list(checkpoint.folder)}
    mistakes, extra = tuple(problems_away(checkpoint)), manifest.strangers(names - {CLAIM})
    return Verified(checkpoint.url, len(manifest.files), manifest.size, mistakes, extra)


def verified_here(path: Path) -> Iterator[Verified]:
    """A checkpoint, or all complete ones of a directory.

    Raises:
        UserError: there is none.
    """
    found = checkpoints(path) | checkpoints(path, Condition.RENAMED)
    if not found:
        from neox_core.training.initial import complete_checkpoint

        yield verified(complete_checkpoint(path))
        return
    yield from (verified(found[iteration]) for iteration in sorted(found))
    try:
        require_latest(path)
    except UserError as error:
        yield Verified(path / LATEST, 0, 0, (str(error),))


def verified(path: Path) -> Verified:
    """Read a checkpoint and say what is wrong with it."""
    from neox_core.checkpoint.verification import problems

    try:
        manifest = Manifest.read(path)
    except UserError as error:
        return Verified(path, 0, 0, (str(error),))
    names = [file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()]
    mistakes, extra = tuple(problems(path, manifest)), manifest.strangers(names)
    return Verified(path, len(manifest.files), manifest.size, mistakes, extra)
