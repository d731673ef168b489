"""The settings that the words of a command line say: by files, or by a recipe, with what changes them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from neox_core.cli.roots import root_word
from neox_core.config import Entry
from neox_core.config.command_line import files_and_overrides, read_settings, with_flags
from neox_core.plugins import CommandContext


class Given(NamedTuple):
    """What was given.

    Args:
        name: the run's name where the settings have none.
        files: files and presets among the words.
        entries: the raw keys.
    """

    name: str
    files: list[Path]
    entries: dict[str, Entry]


def read_given(words: Sequence[str], options: argparse.Namespace, context: CommandContext) -> Given:
    """The raw keys that words and flags give: those of the recipe, of files over it, and of overrides, strictly left to right.

    Raises:
        UserError: a word is none of these, or a mistake; there are two recipes.
    """
    word = root_word(words, options.conf_dir, context)
    if word is None:
        files, entries = read_settings(words, options)
        return Given(files[0].stem if files else "run", files, entries)
    from neox_core.cli.recipe_settings import settings_with
    from neox_core.cli.recipes import find_root

    root = find_root(word, options, context)
    files, overrides = files_and_overrides([other for other in words if other != word], options.conf_dir)
    entries = settings_with(root, files, overrides, options, context)
    return Given(root.name, files, with_flags(entries, options, overrides))
