"""`neox checkpoint pull`: copy a checkpoint from a store to a directory."""

from __future__ import annotations

from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_commands.transfer import Progress, add_requests, options_of
from neox_core.cli.words import directory_to_write, not_negative
from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint pull",
        description="Copy a checkpoint from a store. It appears in the directory when all of it is there and is what was written; an "
        "interrupted copy is finished by the same command.",
    )
    command.add_argument(
        "url",
        metavar="URL",
        help="a checkpoint, or a directory of checkpoints, of which the newest complete one is meant",
    )
    command.add_argument(
        "directory",
        type=directory_to_write,
        metavar="DIRECTORY",
        help="the directory of checkpoints that it is to be in",
    )
    command.add_argument(
        "--iteration", type=not_negative, metavar="N", help="the one of this step in place of the newest"
    )
    add_requests(command)
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Copy it.

    Raises:
        UserError: there is none, it is damaged, there is no room, or the store fails.
    """
    options = parser().parse(argv)
    from neox_core.checkpoint.layout import checkpoints, point_latest
    from neox_core.checkpoint.remote import pull, remote_checkpoint

    requests = options_of(options)
    found = remote_checkpoint(options.url, context.plugins, options.iteration, requests)
    path = options.directory / found.folder
    with Progress(found.folder, found.manifest.size) as progress:
        pull(found, path, requests, tell=progress.add)
    point_latest([*checkpoints(options.directory).values()][-1])
    facts = {"url": found.url, "path": str(path), "bytes": found.manifest.size}
    print(json_text(facts) if options.json else f"{found.url} is at {path}: {in_words(found.manifest.size)}")
    return 0
