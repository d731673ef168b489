"""What several verbs take from the command line, and say."""

from __future__ import annotations

import argparse

from neox_core.config import World


def positive(text: str) -> int:
    """A whole number > 0, as a type for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number > 0")
    return int(text)


def ranks_in_words(world: World) -> str:
    """`1 rank`, `8 ranks`."""
    return "1 rank" if world.size == 1 else f"{world.size} ranks"
