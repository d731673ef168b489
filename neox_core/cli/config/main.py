"""`neox config VERB`: a table from verb to "module:function"."""

from __future__ import annotations

from collections.abc import Callable

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import CommandContext, resolve

VERBS = {
    "check": "report every problem, with file and line",
    "explain": "one key: its value, where it was set, whose it is, what it does",
    "diff": "how two configurations, runs or checkpoints differ, and whether it matters",
    "show": "print every key with its value and where that was set",
    "schedule": "plot the learning rate over the steps of a run",
    "schema": "a JSON Schema of configuration files, for editors",
    "docs": "the reference page of all keys",
    "convert": "write files for GPT-NeoX with today's names, ordered by group",
}
"""Each is the function `main` of the module of its name."""

USAGE = """\
usage: neox config VERB ...

Check, explain, compare and convert settings.

{verbs}

`neox config VERB --help` describes a verb."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run one verb.

    Raises:
        UserError: there is none of this name.
    """
    if not argv or argv[0] in ("-h", "--help"):
        width = max(map(len, VERBS))
        print(USAGE.format(verbs="\n".join(f"  {verb:{width}}  {text}" for verb, text in VERBS.items())))
        return 0 if argv else UserError.exit_code
    verb, *words = argv
    if verb not in VERBS:
        raise UserError(f"there is no verb 'config {verb}'; {did_you_mean(verb, list(VERBS))}")
    function: Callable[[list[str], CommandContext], int] = resolve(f"neox_core.cli.config.{verb}:main")
    return function(words, context)
