"""What several verbs take from the command line."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number > 0, as a type for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number > 0")
    return int(text)
