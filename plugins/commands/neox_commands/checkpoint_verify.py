"""`neox checkpoint verify`: read checkpoints from end to end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from neox_commands.checkpoint_away import meant_away, problems_away
from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import checkpoints
from neox_core.checkpoint.remote import is_url
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext


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
    """

    path: Path | str
    files: int
    size: int
    mistakes: tuple[str, ...]


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
    return UserError.exit_code if any(each.mistakes for each in found) else 0


def all_verified(given: str, context: CommandContext) -> Iterator[Verified]:
    """What a path or a URL means, read."""
    if not is_url(given):
        yield from map(verified, meant(Path(given)))
        return
    for checkpoint in meant_away(given, context):
        manifest = checkpoint.manifest
        yield Verified(checkpoint.url, len(manifest.files), manifest.size, tuple(problems_away(checkpoint)))


def meant(path: Path) -> list[Path]:
    """The checkpoint itself, or all complete ones of a directory.

    Raises:
        UserError: there is none.
    """
    from neox_core.training.initial import complete_checkpoint

    return [*checkpoints(path).values()] or [complete_checkpoint(path)]


def verified(path: Path) -> Verified:
    """Read a checkpoint and say what is wrong with it."""
    from neox_core.checkpoint.manifest import Manifest
    from neox_core.checkpoint.verification import problems

    try:
        manifest = Manifest.read(path)
    except UserError as error:
        return Verified(path, 0, 0, (str(error),))
    return Verified(path, len(manifest.files), manifest.size, tuple(problems(path, manifest)))
