"""`neox config convert`: configuration files for GPT-NeoX, old or new, as one file in today's names, ordered by group."""

from __future__ import annotations

from pathlib import Path

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.config.subject import FILES
from neox_core.cli.config.values import about
from neox_core.cli.given import read_given
from neox_core.cli.report import print_notes
from neox_core.config import Ownership, dump_yaml
from neox_core.config.command_line import Parser
from neox_core.config.reading import Reading, read
from neox_core.files import write_new
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
    command.add_allow()
    options = command.parse(argv)
    entries = read_given(options.words, options, context).entries
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
