"""`neox data tokenizer`: train a tokenizer, or show what one has. Each verb has a module of its own."""

from __future__ import annotations

import argparse
from importlib import import_module

from neox_core.plugins import CommandContext
from neox_core.plugins.commands import CommandMain

VERBS = {"train": "neox_commands.data_tokenizer_train", "show": "neox_commands.data_tokenizer_show"}
"""The module of each verb; its function `main` is a `CommandMain`."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run `neox data tokenizer VERB ...` and return the exit code. Raises `UserError` for what the user can mend."""
    parser = argparse.ArgumentParser(
        prog="neox data tokenizer",
        description="train: a byte-level BPE from text. show: kind, entries and special tokens; and what a text becomes. "
        "`neox data tokenizer VERB --help` describes a verb.",
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="VERB", help=" or ".join(VERBS))
    chosen = parser.parse_args(argv[:1])
    run: CommandMain = import_module(VERBS[chosen.verb]).main
    return run(argv[1:], context)
