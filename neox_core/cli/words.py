"""The words that name a run's settings: configuration files and overrides, in any order."""

from __future__ import annotations

import argparse
from pathlib import Path

from neox_core.config.presets import find_config


def files_and_overrides(words: list[str]) -> tuple[list[Path], list[str]]:
    """The files and presets among `words`, and the `KEY=VALUE` among them; an existing file is a file whatever its name.

    Raises:
        UserError: a word is neither.
    """
    overrides = [word for word in words if "=" in word and not Path(word).is_file()]
    return [find_config(word) for word in words if word not in overrides], overrides


def positive(text: str) -> int:
    """A whole number > 0, as a type for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number > 0")
    return int(text)
