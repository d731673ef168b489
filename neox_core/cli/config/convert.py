"""`neox config convert`: configuration files for GPT-NeoX, old or new, as one file in today's names, ordered by group."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from neox_core.cli.config.subject import FILES, plugins_for
from neox_core.cli.report import print_notes
from neox_core.config import Entry, NeoXArgs, dump_yaml
from neox_core.config.command_line import Parser, read_settings
from neox_core.config.translation import VARIABLES
from neox_core.errors import UserError
from neox_core.plugins import CommandContext


def main(argv: list[str], context: CommandContext) -> int:
    """Write the file; what was translated is told on standard error."""
    command = Parser("neox config convert", "Write configuration files with today's names, ordered by group.")
    command.add_argument("words", nargs="+", metavar=FILES, help="configuration files or presets, and overrides")
    command.add_argument("--output", type=Path, metavar="FILE", help="write to a file that does not exist yet")
    options = command.parse(argv)
    _, entries = read_settings(options.words, options)
    args = NeoXArgs(entries.values(), plugins_for(entries, context))
    print_notes(args.notices)
    text = converted(args, entries.values())
    if options.output is None:
        print(text, end="")
    else:
        write_new(options.output, text)
    return 0


def converted(args: NeoXArgs, as_given: Iterable[Entry]) -> str:
    """The given keys as a file: a comment for each group, and below it the group's keys in the order of its declaration."""
    values = as_written(args.to_dict(), as_given)
    parts = []
    for owner in args.ownership.owners:
        given = {key: values[key] for key in owner.group.model_fields if key in values}
        if given:
            parts.append(f"# {title(owner.group)}\n{dump_yaml(given)}")
    return "\n".join(parts)


def title(group: type) -> str:
    """What a group is, in a line."""
    return " ".join((group.__doc__ or "").strip().partition("\n\n")[0].split())


def as_written(values: Mapping[str, Any], as_given: Iterable[Entry]) -> dict[str, Any]:
    """The values with the environment variables of paths by name, as they were given, rather than with what they hold now."""
    texts = {text for entry in as_given for text in _texts(entry.value) if "$" in text}
    names = {_expanded(text): text for text in texts}

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    return {key: named(value) for key, value in values.items()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value if isinstance(value, list) else ():
        yield from _texts(item)


def _expanded(text: str) -> str:
    for name in VARIABLES:
        value = os.environ.get(name, "")
        text = text.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return text


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
