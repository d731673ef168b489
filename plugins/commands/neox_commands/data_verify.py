"""`neox data verify`: read token files from end to end."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from neox_commands.data_output import aligned, tell
from neox_commands.json_text import add_json, json_text
from neox_core.cli.words import positive
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_core.data.token_files import Verified


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox data verify",
        description="Read token files from end to end: ids in range, sequences that do not overlap, empty ones. Exit code 2 where "
        "something is wrong.",
    )
    command.add_argument("prefixes", nargs="+", metavar="PREFIX", help="token files")
    command.add_argument(
        "--vocab-size", type=positive, metavar="N", help="entries of the vocabulary; ids must be below"
    )
    command.add_argument("--sha256", action="store_true", help="print the digests of the files")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Verify each, and say what is wrong; one that cannot be opened does not keep the others from being looked at."""
    options = parser().parse(argv)
    from neox_core.data.token_files import Verified, verify

    found: dict[str, Verified | UserError] = {}
    for prefix in options.prefixes:
        try:
            found[prefix] = verify(prefix, options.vocab_size, sha256=options.sha256)
        except UserError as error:
            found[prefix] = error
    verified = {prefix: each for prefix, each in found.items() if isinstance(each, Verified)}
    tell(notice for each in verified.values() for notice in each.notices)
    if options.json:
        print(json_text([{"prefix": prefix, **_as_data(each)} for prefix, each in found.items()]))
    elif verified:
        print(aligned([HEADER, *(_row(prefix, each) for prefix, each in verified.items())]))
        for line in _digests(verified):
            print(line)
    mistakes = [mistake for prefix, each in found.items() for mistake in _mistakes(prefix, each)]
    print(*mistakes, sep="\n", file=sys.stderr, end="\n" if mistakes else "")
    return UserError.exit_code if mistakes else 0


HEADER = ["", "documents", "sequences", "empty", "tokens", "masked", "lowest", "highest", "wrong"]


def _row(prefix: str, each: Verified) -> list[str]:
    counts = each.counts
    numbers = (counts.documents, counts.sequences, each.empty, counts.tokens, each.masked, each.lowest, each.highest)
    return [prefix, *("" if number is None else f"{number:,}" for number in (*numbers, each.wrong))]


def _mistakes(prefix: str, each: Verified | UserError) -> list[str]:
    if isinstance(each, UserError):
        return [f"error: {each}"]
    more = each.wrong - len(each.places)
    return [
        *(f"error: {prefix}: {place}" for place in each.places),
        *([f"error: {prefix}: and {more:,} more"] if more else []),
    ]


def _digests(verified: dict[str, Verified]) -> list[str]:
    return [
        f"{digest}  {prefix}.{kind}"
        for prefix, each in verified.items()
        for kind, digest in (each.sha256 or {}).items()
    ]


def _as_data(each: Verified | UserError) -> dict[str, object]:
    if isinstance(each, UserError):
        return {"error": str(each)}
    data = asdict(each)
    return {**data.pop("counts"), **data}
