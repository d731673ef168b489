"""`neox checkpoint prune`: delete old checkpoints, never the newest."""

from __future__ import annotations

from pathlib import Path

from neox_commands.json_text import add_json, json_text
from neox_core.checkpoint.layout import Condition, checkpoints
from neox_core.checkpoint.remote import checked, is_url
from neox_core.checkpoint.retention import doomed, prune, whole
from neox_core.cli.words import positive
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext
from neox_core.training.lock import DirectoryLock


def directory_here(text: str) -> Path:
    """The directory, as a type for argparse."""
    if is_url(text):
        checked(text)
        raise UserError(
            f"{text} is a URL, and prune deletes in a directory here; in a store a run keeps as many as `keep_last_n_checkpoints` says"
        )
    return Path(text)


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint prune",
        description="Delete all but the newest complete checkpoints of a directory, and saves before them that were interrupted. "
        "The newest is never deleted, nor what GPT-NeoX wrote, nor anything while a run saves there.",
    )
    command.add_argument("directory", type=directory_here, metavar="DIRECTORY", help="as `save` names it")
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
    if not checkpoints(options.directory):
        raise UserError(f"{options.directory} holds no complete checkpoint; give a directory that `save` names")
    if options.dry_run:
        paths = doomed(options.directory, options.keep)
    else:
        with DirectoryLock(options.directory):
            paths = prune(options.directory, options.keep)
    deleted = "would_delete" if options.dry_run else "deleted"
    lines = [f"{deleted.replace('_', ' ')} {path}" for path in paths]
    nothing = f"nothing to delete in {options.directory}: {_kept(options.directory)}, --keep {options.keep}"
    print(json_text({deleted: [str(path) for path in paths]}) if options.json else "\n".join(lines or [nothing]))
    return 0


def _kept(directory: Path) -> str:
    """How many checkpoints are whole, and which others are left alone."""
    sound, renamed = whole(directory), checkpoints(directory, Condition.RENAMED)
    left = [f"{path.name} (damaged)" for number, path in checkpoints(directory).items() if number not in sound]
    left += [f"{path.name} (renamed)" for path in renamed.values()]
    return f"whole checkpoints {len(sound)}" + (f", left alone {', '.join(left)}" if left else "")
