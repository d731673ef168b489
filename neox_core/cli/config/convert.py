"""`neox config convert`: configuration files for GPT-NeoX, old or new, as one file in today's names, ordered by group."""

from __future__ import annotations

from pathlib import Path

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.config.subject import FILES
from neox_core.cli.config.values import about
from neox_core.cli.report import print_notes
from neox_core.config import Ownership, dump_yaml
from neox_core.config.command_line import Parser, read_settings
from neox_core.config.reading import Reading, read
from neox_core.errors import UserError
from neox_core.plugins import CommandContext


def main(argv: list[str], context: CommandContext) -> int:
    """Write the file; what was translated is told on standard error."""
    command = Parser(
        "neox config convert",
        "Write configuration files with today's names, ordered by group. Keys that must be given may be missing: they may be in "
        "another file. Comments are lost.",
    )
    command.add_argument("words", nargs="+", metavar=FILES, help="configuration files or presets, and overrides")
    command.add_argument("--output", type=Path, metavar="FILE", help="write to a file that does not exist yet")
    options = command.parse(argv)
    _, entries = read_settings(options.words, options)
    ownership = Ownership.of(chosen_plugins(entries, context))
    found = read(entries.values(), ownership, partial=True, variables=False)
    print_notes(found.notices)
    text = converted(found, ownership)
    if options.output is None:
        print(text, end="")
    else:
        write_new(options.output, text)
    return 0


def converted(found: Reading, ownership: Ownership) -> str:
    """The given keys as a file: a comment for each group, and below it the group's keys in the order of its declaration.

    Environment variables in a value stay there by name.
    """
    values = {key: entry.value for key, entry in found.entries.items()}
    parts = []
    for owner in ownership.owners:
        given = {key: values[key] for key in owner.group.model_fields if key in values}
        if given:
            parts.append(f"# {about(owner.group)}\n{dump_yaml(given)}")
    return "\n".join(parts)


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet.

    Raises:
        UserError: it does.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"--output: {path} exists; remove it or choose another name") from error
