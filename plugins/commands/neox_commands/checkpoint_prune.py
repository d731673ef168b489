"""`neox checkpoint prune`: delete old checkpoints, never the newest."""

from __future__ import annotations

from neox_commands.json_text import add_json, json_text
from neox_core.checkpoint.layout import checkpoints
from neox_core.checkpoint.retention import doomed, prune
from neox_core.cli.words import checkpoint_here, positive
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext
from neox_core.training.lock import DirectoryLock


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint prune",
        description="Delete all but the newest complete checkpoints of a directory, and saves before them that were interrupted. "
        "The newest is never deleted, nor what GPT-NeoX wrote, nor anything while a run saves there.",
    )
    command.add_argument("directory", type=checkpoint_here, metavar="DIRECTORY", help="as `save` names it")
    command.add_argument("--keep", type=positive, required=True, metavar="N", help="how many to keep")
    command.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Delete them, and say which.

    Raises:
        UserError: there is no checkpoint, or a run saves there.
    """
    options = parser().parse(argv)
    complete = len(checkpoints(options.directory))
    if not complete:
        raise UserError(f"{options.directory} holds no complete checkpoint; give a directory that `save` names")
    if options.dry_run:
        paths = doomed(options.directory, options.keep)
    else:
        with DirectoryLock(options.directory):
            paths = prune(options.directory, options.keep)
    deleted = "would_delete" if options.dry_run else "deleted"
    lines = [f"{deleted.replace('_', ' ')} {path}" for path in paths]
    nothing = f"nothing to delete in {options.directory}: complete checkpoints {complete}, --keep {options.keep}"
    print(json_text({deleted: [str(path) for path in paths]}) if options.json else "\n".join(lines or [nothing]))
    return 0
