"""`neox data`: what there is to do with training data. Each verb has a module of its own."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import CommandContext
from neox_core.plugins.commands import CommandMain


class Verb(NamedTuple):
    """One verb.

    Args:
        module: where it is; its function `main` is a `CommandMain`.
        help: what it does, for the list of verbs.
    """

    module: str
    help: str


VERBS = {
    "fetch": Verb("neox_commands.data_fetch", "download corpora, vocabularies and weights"),
    "tokenizer": Verb("neox_commands.data_tokenizer", "train a tokenizer, or show what one has"),
    "prepare": Verb("neox_commands.data_prepare", "make token files from a corpus, or from files of text"),
    "merge": Verb("neox_commands.data_merge", "put token files together"),
    "split": Verb("neox_commands.data_split", "cut token files into training, validation and test"),
    "count": Verb("neox_commands.data_count", "documents and tokens of token files"),
    "show": Verb("neox_commands.data_show", "facts of token files, and their documents"),
    "verify": Verb("neox_commands.data_verify", "read token files from end to end"),
    "at": Verb("neox_commands.data_at", "which documents a step of a run is trained on"),
    "replay": Verb("neox_commands.data_replay", "the batch of a step, made again and compared with what was recorded"),
}
"""The verbs, in the order in which they are shown."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run `neox data VERB ...` and return the exit code.

    Raises:
        UserError: there is no such verb, or what the user can mend in it.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else UserError.exit_code
    if argv[0] not in VERBS:
        raise UserError(f"there is no verb 'data {argv[0]}'; {did_you_mean(argv[0], list(VERBS))}")
    run: CommandMain = import_module(VERBS[argv[0]].module).main
    return run(argv[1:], context)


def usage() -> str:
    """The text of `neox data --help`."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {verb.help}" for name, verb in VERBS.items())
    lines = ["usage: neox data VERB ...", "", "Training data: from text to token files.", "", verbs, ""]
    return "\n".join([*lines, "`neox data VERB --help` describes a verb."])
