"""`neox checkpoint push`: copy checkpoints to a store."""

from __future__ import annotations

from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_commands.transfer import Progress, add_requests, options_of
from neox_core.checkpoint.layout import checkpoints
from neox_core.cli.words import checkpoint_here
from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint push",
        description="Copy a checkpoint to a store: its files, then its manifest, which makes it complete there. What is there "
        "already is not sent again, so that an interrupted copy is finished by the same command.",
    )
    command.add_argument(
        "path",
        type=checkpoint_here,
        metavar="PATH",
        help="a checkpoint, or a directory of checkpoints, of which the newest is meant",
    )
    command.add_argument(
        "url", metavar="URL", help="the directory of checkpoints that it is to be in: s3://BUCKET/PREFIX"
    )
    command.add_argument("--all", action="store_true", help="all complete ones of the directory, the oldest first")
    add_requests(command)
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Copy them.

    Raises:
        UserError: there is none, or it is damaged; or the store fails.
    """
    options = parser().parse(argv)
    from neox_core.checkpoint.remote import below, open_store, push
    from neox_core.training.initial import complete_checkpoint

    every = list(checkpoints(options.path).values()) if options.all else []
    paths, requests = every or [complete_checkpoint(options.path)], options_of(options)
    store = open_store(options.url, context.plugins, requests)
    pushed = []
    for path in paths:
        path = path.absolute()  # noqa: PLW2901 - one that is called `.` has a name too
        with Progress(path.name, sum(each.stat().st_size for each in path.rglob("*") if each.is_file())) as progress:
            sent = push(path, store, requests, tell=lambda name, size, progress=progress: progress.add(size))  # type: ignore[misc]
        pushed.append({"path": str(path), "url": below(store.url, path.name), "sent": sent})
        if not options.json:
            print(f"{path} is at {pushed[-1]['url']}: {in_words(sent)} sent")
    if options.json:
        print(json_text(pushed))
    return 0
