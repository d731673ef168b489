"""`neox config explain KEY`: what a key is and does, and, with files, its value and where that was set."""

from __future__ import annotations

from pathlib import Path

from neox_core.cli.config.known import Known, find_known
from neox_core.cli.config.look import Look, read_look
from neox_core.cli.config.named import name_lines
from neox_core.cli.config.nested import nested_lines
from neox_core.cli.config.outcomes import outcome
from neox_core.cli.config.subject import FILES, parser
from neox_core.cli.config.values import (
    CHANGES,
    FROM_CHECKPOINT,
    about,
    default_of,
    heeded,
    inline,
    provider,
    shortened,
    takes,
    whose,
)
from neox_core.config.derived import DERIVED
from neox_core.config.keys import REQUIRED, Key
from neox_core.config.ownership import Ownership
from neox_core.config.presets import is_readable
from neox_core.errors import UserError
from neox_core.plugins import CommandContext, PluginManager

Lines = list[tuple[str, str]]


def main(argv: list[str], context: CommandContext) -> int:
    """Explain one key.

    Raises:
        UserError: there is no such key.
    """
    command = parser(
        "explain",
        "What a key is and does; with files, also its value and where that was set. The files may be a part "
        "of a configuration.",
        "*",
    )
    command.usage = f"neox config explain KEY [{FILES} ...]"
    options = command.parse(argv)
    name, words = (options.words[0], options.words[1:]) if options.words else ("", [])
    if not name:
        command.error("name a key")
    look = read_look(words, options, context) if words else None
    ownership = look.ownership if look else Ownership.of(context.plugins)
    if is_readable(Path(name)) and name not in ownership.by_key:
        raise UserError(f"{name} is a file; the key comes first: `neox config explain KEY {name}`")
    known = find_known(name, ownership)
    lines = page(known, ownership, look.plugins if look else context.plugins, look)
    width = max((len(label) for label, _ in lines), default=0)
    print("\n".join([f"{known.name}: {known.summary}", *(f"{label:{width}}  {text}" for label, text in lines)]))
    return 0


def page(known: Known, ownership: Ownership, plugins: PluginManager, look: Look | None) -> Lines:
    """What is known about a name, as labels and texts."""
    if known.key is None:
        return [*known.lines, *computed_lines(known.name, look)]
    key, names = ownership.keys[known.key], name_lines(known.name, plugins)
    if known.path:
        return [*known.lines, *nested_lines(key, known.path, look), *names, *shared_lines(key)]
    value = value_lines(key, look) if look else []
    taken = "a name" if names and takes(key) == "text" else takes(key)
    facts = [("takes", taken), *names, ("default", default_of(key)), *shared_lines(key)]
    return [*known.lines, *value, *facts]


def value_lines(key: Key, look: Look) -> Lines:
    """A key's value, where it was set, and what it comes to where that is something else."""
    entry = look.entries.get(key.name)
    if entry is None and key.default is REQUIRED:
        return [("value", "not given"), ("comes to", look.unknown)]
    value = entry.value if entry else key.default
    lines = [("value", inline(value)), ("set in", str(entry.origin) if entry else "nowhere: it is the default")]
    if look.resolved is None:
        return [*lines, ("comes to", look.unknown)]
    result = outcome(key.name, value, look.resolved, look.plugins)
    return lines if result == value else [*lines, ("comes to", shortened(result, 200))]


def computed_lines(name: str, look: Look | None) -> Lines:
    """The value of a computed name, where there are settings to compute it from."""
    if name not in DERIVED or look is None or look.resolved is None:
        return []
    return [("value", inline(DERIVED[name].compute(look.resolved)))]


def shared_lines(key: Key) -> Lines:
    """What holds for a key and for all within it."""
    effect = heeded(key)
    return [
        *([("effect", effect)] if effect else []),
        ("group", f"{key.group.group_name}, of {provider(key)}: {about(key.group)}"),
        ("whose key", whose(key)),
        ("changes", CHANGES[key.changes]),
        ("checkpoint", FROM_CHECKPOINT[key.from_checkpoint]),
    ]
