"""What several verbs take from the command line, and say."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path

from neox_core.checkpoint.remote.urls import checked, is_url, pull_first
from neox_core.config import World
from neox_core.errors import UserError
from neox_core.files import write_file


def positive(text: str) -> int:
    """A whole number > 0, as a type for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number > 0")
    return int(text)


def not_negative(text: str) -> int:
    """A whole number >= 0, as a type for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number >= 0")
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


def checkpoint_here(text: str) -> Path:
    """The directory of a checkpoint, or of checkpoints, as a type for argparse.

    Raises:
        UserError: it is a URL, which a path would not keep as it was written.
    """
    if is_url(text):
        raise pull_first(text)
    return Path(text)


def directory_to_write(text: str) -> Path:
    """The directory for what a verb makes, as a type for argparse.

    Raises:
        UserError: it is a URL.
    """
    if is_url(text):
        checked(text)
        raise UserError(
            f"{text} is a URL, and what is made is written to a directory here: give one; `neox checkpoint push` copies "
            "checkpoints of neox to a URL"
        )
    return Path(text)


def require_different(files: Mapping[str, Path | None]) -> None:
    """Refuse options that ask for one file; one that was not given is None.

    Raises:
        UserError: two of them name the same file.
    """
    given = {option: path.absolute() for option, path in files.items() if path is not None}
    for first, second in itertools.combinations(given, 2):
        if given[first] == given[second]:
            raise UserError(f"{first} and {second} both name {files[first]}; give each a file of its own")


def write_asked_for(texts: Mapping[Path | None, str]) -> list[str]:
    """Write the files that options ask for; an option that was not given is None.

    It is done before anything is printed, which whoever reads it may end.

    Returns:
        What there is to print at the end: that they were written, if there are any.
    """
    asked = {path: text for path, text in texts.items() if path is not None}
    for path, text in asked.items():
        write_file(path, text)
    return ["\n".join(f"written: {path}" for path in asked)] if asked else []


def ranks_in_words(world: World) -> str:
    """`1 rank`, `8 ranks`."""
    return "1 rank" if world.size == 1 else f"{world.size} ranks"
