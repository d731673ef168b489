"""Tables and notices of the verbs of `neox data`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from neox_core.cli.report import print_notes
from neox_core.cli.tables import table
from neox_core.errors import Notice

if TYPE_CHECKING:
    from neox_core.data.token_files import Counts

COUNTED = ("documents", "sequences", "tokens", "bytes")


def counts_table(counts: Sequence[tuple[str, Counts]]) -> str:
    """The counts of token files by their prefixes, and their sum where there are several."""
    rows = [(prefix, tuple(asdict(each).values())) for prefix, each in counts]
    if len(rows) > 1:
        rows.append(("total", tuple(sum(column) for column in zip(*(row for _, row in rows), strict=True))))
    return aligned([["", *COUNTED], *([prefix, *(f"{number:,}" for number in row)] for prefix, row in rows)])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table of which all columns but the first are numbers, at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return table(
        [[row[0], *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))] for row in rows]
    )


def tell(notices: Iterable[str]) -> None:
    """Print to standard error what a user should know."""
    print_notes(Notice(message=notice) for notice in notices)
