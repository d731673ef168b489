"""`neox config docs`: the reference page of all keys, and the tables that other pages share with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from neox_core.cli.config.known import singular_names
from neox_core.cli.config.values import OWN, about, default_of, heeded, provider, takes, whose
from neox_core.config.compatibility import DEFECTS
from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.keys import Key
from neox_core.config.older import OLDER
from neox_core.config.overrides import MOVED
from neox_core.config.ownership import Owner, Ownership
from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext, PluginManager, Switches

INTRODUCTION = """\
# Settings

Every key that a configuration file may have, by the group that owns it. [Configuration](configuration.md) says how files
are read; `neox config explain KEY FILES` says the same of one key, with its value. This page is written by
`neox config docs`, from the declarations that check the files.

A key that *changes numerics* makes a difference to what is computed; *speed* stands for speed and memory; *nothing* for
names, paths and the like. When settings are taken from a checkpoint, a value is *taken* from there, *must match*, or
yours is *kept*.
"""

CHECKPOINT = {"take": "taken", "match": "must match", "keep": "kept"}


def main(argv: list[str], context: CommandContext) -> int:
    """Print the page, or write it to a file."""
    command = RaisingParser(
        prog="neox config docs", allow_abbrev=False, description="The reference page of all keys, in Markdown."
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write to a file")
    command.add_argument(
        "--all", action="store_true", help="with the keys of all installed plugins, not neox's own alone"
    )
    options = command.parse(argv)
    plugins = context.plugins if options.all else PluginManager(Switches(allow=(OWN,)))
    text = page(Ownership.of(plugins))
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, encoding="utf-8")
    return 0


def page(ownership: Ownership) -> str:
    """The whole page in Markdown."""
    sections = [
        INTRODUCTION,
        *(group_section(owner, ownership) for owner in ownership.owners),
        computed_section(),
        earlier_section(ownership),
        f"## Defects of GPT-NeoX\n\n{defects_table()}",
        owners_section(ownership),
    ]
    return "\n".join(sections)


def group_section(owner: Owner, ownership: Ownership) -> str:
    """A group: what it is, who brings it, and its keys."""
    keys = [ownership.keys[name] for name in owner.group.model_fields]
    origin = f"{about(owner.group)} Owned by {provider(keys[0])}."
    rows = [[f"`{key.name}`", meaning(key), takes(key), shown_default(key), *remaining(key)] for key in keys]
    head = ["key", "meaning", "takes", "default", "whose", "changes", "checkpoint"]
    return f"## {owner.group.group_name}\n\n{origin}\n\n{markdown_table(head, rows)}"


def meaning(key: Key) -> str:
    """The description, and that it has no effect, or none yet."""
    effect = heeded(key)
    return f"{key.description}. *{effect[0].upper()}{effect[1:]}.*" if effect else key.description


def shown_default(key: Key) -> str:
    """The default as code."""
    text = default_of(key)
    return text if text == "must be given" else f"`{text}`"


def remaining(key: Key) -> list[str]:
    """Whose key it is, what it changes, and what a checkpoint does to it."""
    return [whose(key), key.changes, CHECKPOINT[key.from_checkpoint]]


def computed_section() -> str:
    """Names that GPT-NeoX computes, which are read and never set."""
    rows = [[f"`{name}`", derived.description, derived.source] for name, derived in DERIVED.items()]
    text = (
        "Names that are read as attributes of `NeoXArgs` and never set; in a file they are told and passed over, as are "
        f"those that exist only while GPT-NeoX runs: {', '.join(f'`{name}`' for name in RUNTIME)}."
    )
    return f"## Computed values\n\n{text}\n\n{markdown_table(['name', 'meaning', 'computed from'], rows)}"


def earlier_section(ownership: Ownership) -> str:
    """Names that files for earlier versions have."""
    rows = [[f"`{alias}`", f"`{name}`, by another name"] for alias, name in ownership.aliases.items()]
    rows += [[f"`{name}`", f"`{key}`, as a list of one path"] for name, key in singular_names(ownership).items()]
    rows += [[f"`{older.name}`", older.meaning] for older in OLDER.values()]
    rows += [[f"`{place}`", f"`{key}`"] for place, key in MOVED.items()]
    text = "Read with a note, or refused with a sentence that says what to write. `neox config convert` writes today's names."
    return f"## Earlier keys\n\n{text}\n\n{markdown_table(['earlier', 'today'], sorted(rows))}"


def defects_table() -> str:
    """What GPT-NeoX does wrongly, what neox does, and what `compat: gpt-neox` brings back."""
    rows = [
        [
            defect.upstream,
            defect.ours if not defect.pending else f"planned, not in this version: {defect.ours}",
            defect.switch or "the same as without",
        ]
        for defect in DEFECTS.values()
    ]
    return markdown_table(["in GPT-NeoX", "in neox", "with `compat: gpt-neox`"], rows)


def owners_section(ownership: Ownership) -> str:
    """Every key in alphabetical order with its group and who brings that."""
    rows = [
        [f"`{name}`", f"[{key.group.group_name}](#{key.group.group_name})", provider(key)]
        for name, key in sorted(ownership.keys.items())
    ]
    return f"## Keys and their owners\n\n{markdown_table(['key', 'group', 'owner'], rows)}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, one row a line."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
