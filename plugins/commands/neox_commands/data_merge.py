"""`neox data merge`: put token files together."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from neox_commands.data_output import counts_table, tell
from neox_commands.json_text import add_json, json_text
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

TYPES = ("uint8", "int8", "int16", "uint16", "int32", "int64", "float32", "float64")


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox data merge",
        description="Write the documents of several token files one after the other, to the byte as if they had been written at once.",
    )
    command.add_argument(
        "prefixes", nargs="*", metavar="PREFIX", help="token files, in order; PREFIX.idx will do, as in shard-*.idx"
    )
    command.add_argument("--input", type=Path, metavar="DIR", help="all token files of a directory, sorted by name")
    command.add_argument("--output-prefix", required=True, metavar="PREFIX", help="token files to write")
    command.add_argument("--dtype", choices=TYPES, help="element type to write, which holds those of all inputs")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Merge, and say what was written."""
    options = parser().parse(argv)
    if bool(options.prefixes) == (options.input is not None):
        raise UserError(
            "neox data merge: name the prefixes of token files, or their directory with --input: one of the two"
        )
    from neox_core.data.preparing.outputs import make_parent
    from neox_core.data.preparing.shards import missing_parts
    from neox_core.data.token_files import merge, open_tokens

    prefixes = [prefix.removesuffix(".idx") for prefix in options.prefixes] or _all_of(options.input)
    tell(f"{missing} is not among the parts that are merged" for missing in missing_parts(prefixes))
    tell(notice for prefix in prefixes for notice in open_tokens(prefix).notices)
    make_parent(Path(options.output_prefix))
    counts = merge(prefixes, options.output_prefix, options.dtype)
    merged = {"output": options.output_prefix, "inputs": prefixes, **asdict(counts)}
    print(json_text(merged) if options.json else counts_table([(options.output_prefix, counts)]))
    return 0


def _all_of(directory: Path) -> list[str]:
    """The prefixes in a directory. Raises `UserError` when they are shards, and not those of one preparation and key, or not all."""
    from neox_core.data.preparing.shards import missing_parts, parts_of
    from neox_core.data.token_files import prefixes_in

    prefixes = [str(prefix) for prefix in prefixes_in(directory)]
    wholes = list(parts_of(prefixes))
    if len(wholes) > 1 and wholes != prefixes:
        raise UserError(
            f"{directory}: has parts of {' and '.join(wholes)}, which do not go into one file; "
            f"name those of one, as in {wholes[0]}.shard-*.idx"
        )
    missing = missing_parts(prefixes)
    if missing:
        raise UserError(f"{missing[0]}: is missing; prepare it, or name the parts that are to be merged without it")
    return prefixes
