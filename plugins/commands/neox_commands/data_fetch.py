"""`neox data fetch`: download corpora, vocabularies and weights, and say what of them is there."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from neox_core.errors import UserError
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_commands.data_fetch_reports import Report
    from neox_core.data.corpora.fetching import Place
    from neox_core.data.corpora.items import Item

MIRROR = "NEOX_DATA_MIRROR"
"""The environment variable that `--from` defaults to."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="neox data fetch",
        description="Download what is missing of corpora, vocabularies and weights. What an earlier call left unfinished is "
        "gone on with, and nothing gets its name before its size and digest are right.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="what to fetch (see --list), or a catalogue of your own (FILE.toml)"
    )
    parser.add_argument(
        "-d",
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("DATA_DIR", "data")),
        help="directory to fetch into (default: $DATA_DIR, else data)",
    )
    parser.add_argument(
        "--from",
        dest="mirror",
        metavar="URL",
        default=os.environ.get(MIRROR),
        help=f"fetch from a copy of a data directory that is served there (default: ${MIRROR}, else the addresses of each)",
    )
    parser.add_argument("--force", action="store_true", help="fetch again what is there already, and replace it")
    parser.add_argument("--json", action="store_true", help="JSON instead of lines")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="show what there is to fetch; with names, show these")
    instead.add_argument("--dry-run", action="store_true", help="show what would be fetched, and ask no server")
    instead.add_argument(
        "--verify",
        action="store_true",
        help="hold what is there against its digests; exit code 1 if anything is not whole",
    )
    return parser


def main(argv: list[str], context: CommandContext) -> int:
    """Fetch, list or verify, and print what came of it.

    Raises:
        UserError: nothing is named, something unknown is, or it cannot be fetched.
    """
    arguments = parser().parse_args(argv)
    if not arguments.names and not arguments.list:
        raise UserError("name what to fetch; `neox data fetch --list` shows what there is")
    from neox_commands.data_fetch_progress import watching
    from neox_core.data.corpora.catalogue import catalogue, find_items
    from neox_core.data.corpora.fetching import Place

    items = find_items(arguments.names) if arguments.names else list(catalogue().values())
    with watching() as observer:
        place = Place(
            data_dir=arguments.data_dir,
            mirror=checked_mirror(arguments.mirror),
            force=arguments.force,
            observer=observer,
        )
        report = _work(arguments)(items, place)
    print(report.json() if arguments.json else report.text())
    return report.exit_code


def checked_mirror(address: str | None) -> str | None:
    """The address of a mirror, or None for none; raises `UserError` for what is no address."""
    if address and not address.startswith(("http://", "https://")):
        raise UserError(f"'{address}' is no address to fetch from; it must begin with http:// or https://")
    return address or None


def _work(arguments: argparse.Namespace) -> Callable[[list[Item], Place], Report]:
    """What the options ask for."""
    from neox_commands import data_fetch_reports as reports

    asked: list[tuple[bool, Callable[[list[Item], Place], Report]]] = [
        (arguments.list, reports.Listed),
        (arguments.dry_run, reports.Planned),
        (arguments.verify, reports.Verified),
        (True, reports.Fetched),
    ]
    return next(work for wanted, work in asked if wanted)
