"""What several verbs take from the command line, and say."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from neox_core.config import World
from neox_core.files import write_file


def positive(text: str) -> int:
    """A whole number > 0, as a type for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number > 0")
    return int(text)


def file_to_write(text: str) -> Path:
    """The path of a file to write, as a type for argparse: what cannot become one is refused before any work is done."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a directory; give the name of a file, such as {path / 'FILE'}")
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text} cannot be written: {above} is a file, and would have to be a directory"
        )
    return path


def write_asked_for(texts: Mapping[Path | None, str]) -> None:
    """Write the files that options ask for, and say so; an option that was not given is None."""
    for path, text in texts.items():
        if path is not None:
            write_file(path, text)
            print(f"written: {path}")


def ranks_in_words(world: World) -> str:
    """`1 rank`, `8 ranks`."""
    return "1 rank" if world.size == 1 else f"{world.size} ranks"
