"""`neox data split`: cut token files into training, validation and test."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from neox_commands.data_output import counts_table, tell
from neox_commands.json_text import add_json, json_text
from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext

PARTS = ("train", "valid", "test")


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox data split",
        description="Cut token files into PREFIX_train, PREFIX_valid and PREFIX_test, where training cuts them by the same `split`.",
    )
    command.add_argument("prefix", metavar="PREFIX", help="token files")
    command.add_argument("--split", default="969, 30, 1", help='shares of the parts, in any unit ("%(default)s")')
    command.add_argument(
        "--output-prefix", required=True, metavar="PREFIX", help="what the names of the parts begin with"
    )
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Write the parts, and say what is in each."""
    options = parser().parse(argv)
    from neox_core.data.preparing.outputs import make_parent
    from neox_core.data.splits import split_boundaries
    from neox_core.data.token_files import extract, open_tokens, require_other

    tokens = open_tokens(options.prefix)
    tell(tokens.notices)
    outputs = [f"{options.output_prefix}_{part}" for part in PARTS]
    for output in outputs:
        require_other(tokens.prefix, output)
    make_parent(Path(options.output_prefix))
    ranges = pairwise(split_boundaries(options.split, len(tokens)))
    counts = [(output, extract(tokens, output, *span)) for output, span in zip(outputs, ranges, strict=True)]
    if options.json:
        print(json_text([{"prefix": output, **asdict(each)} for output, each in counts]))
    else:
        print(counts_table(counts))
    return 0
