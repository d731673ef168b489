"""`neox data count`: how much there is in token files."""

from __future__ import annotations

from dataclasses import asdict

from neox_commands.data_output import counts_table, tell
from neox_commands.json_text import add_json, json_text
from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox data count",
        description="Documents, sequences (each of which training takes as a document), tokens, and bytes of token files.",
    )
    command.add_argument("prefixes", nargs="+", metavar="PREFIX", help="token files")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Print the counts."""
    options = parser().parse(argv)
    from neox_core.data.token_files import count, open_tokens

    counts = []
    for prefix in options.prefixes:
        tokens = open_tokens(prefix)
        tell(tokens.notices)
        counts.append((prefix, count(tokens)))
    if options.json:
        print(json_text([{"prefix": prefix, **asdict(each)} for prefix, each in counts]))
    else:
        print(counts_table(counts))
    return 0
