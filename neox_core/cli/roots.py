"""Which word of a command line is a whole tree of nodes: a recipe, or a file with `_target_`. Nothing of nodes is imported here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from neox_core.config.presets import find_config, is_readable
from neox_core.errors import UserError, did_you_mean, nearest
from neox_core.plugins import CommandContext

_IN_MODULE = re.compile(r"(?P<module>[^=:()]+\.py|[A-Za-z_][\w.]*):(?P<call>[A-Za-z_][\w-]*\s*(?:\(.*\))?)", re.DOTALL)
_IN_FILE = re.compile(r"(?P<file>[^=:]+\.(?:ya?ml|json|toml)):[^=]+")
_TARGET = re.compile(r"""^(?:\{\s*)?["']?_target_["']?\s*:""", re.MULTILINE)


def root_word(words: Iterable[str], directory: Path | None, context: CommandContext) -> str | None:
    """The one word that is a whole tree; None where all are files of settings and overrides.

    Args:
        words: the words of a command line.
        directory: where files are; None: here.
        context: the plugins, whose recipes a word may name.

    Raises:
        UserError: there are two.
    """
    found = [word for word in words if _is_root(word, directory, context)]
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1]} are both whole runs; name one, and change that by key=value")
    return found[0] if found else None


def in_module(word: str) -> re.Match[str] | None:
    """`FILE.py:NAME`, `package.module:NAME`, either with arguments in parentheses."""
    return _IN_MODULE.fullmatch(word)


def _is_root(word: str, directory: Path | None, context: CommandContext) -> bool:
    place = directory or Path()
    if word.endswith(".py") and "=" not in word:
        raise UserError(f"{word}: name the recipe in it too, as in {word}:NAME")
    if is_readable(place / word):
        return _is_of_nodes(place / word)
    part = _IN_FILE.fullmatch(word)
    if in_module(word) or (part is not None and is_readable(place / part["file"])):
        return True
    name, _, arguments = word.partition("(")
    if word.startswith("~") or "=" in name:
        return False
    if arguments and in_module(name):
        return True  # its parentheses are not closed, which whoever reads it says
    try:
        find_config(name, directory)
    except UserError:
        recipes = list(context.plugins.names("recipe"))
        if name not in recipes and nearest(name, recipes):
            raise UserError(
                f"{word}: there is no such file, no preset and no recipe of this name; {did_you_mean(name, recipes)}"
            ) from None
        return name in recipes
    return False


def _is_of_nodes(file: Path) -> bool:
    """Whether a file has a `_target_` at its top, or is of a form that flat settings do not have."""
    if file.suffix == ".toml":
        return True
    try:
        text = file.read_text(encoding="utf-8-sig")
        if "_target_" not in text:
            return False
    except (OSError, ValueError):
        return False  # whoever reads it says what is wrong
    try:
        return _TARGET.search(text) is not None if file.suffix != ".json" else "_target_" in json.loads(text)
    except (ValueError, RecursionError):
        return _TARGET.search(text) is not None
