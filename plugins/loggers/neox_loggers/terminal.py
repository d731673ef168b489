"""Lines on a terminal or in a file: lasting ones, and in a terminal a live one that is redrawn in place."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

from neox_core.errors import UserError

CLEAR = "\r\x1b[K"  # back to the first column, and erase the line
SEPARATOR = "  "
VARIABLE = "NEOX_TERMINAL"


class Terminal:
    """Writes to `stream`, flushing each time.

    Args:
        stream: usually `sys.stdout`.
        columns: width of the terminal; None for a file or a pipe, which get lasting lines only and no escape codes.
    """

    def __init__(self, stream: TextIO, columns: int | None = None) -> None:
        self.columns = columns
        self._stream = stream
        self._is_live = False

    def line(self, *fields: str) -> None:
        """Write a lasting line; the live one makes room for it."""
        self._write(f"{CLEAR if self._is_live else ''}{SEPARATOR.join(fields)}\n")
        self._is_live = False

    def live(self, *fields: str) -> None:
        """Redraw the live line with as many of `fields` as the terminal is wide."""
        if self.columns is not None:
            self._write(CLEAR + _fitting(fields, self.columns - 1))
            self._is_live = True

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def columns_of(stream: TextIO, environment: Mapping[str, str]) -> int | None:
    """The width of the terminal behind `stream`, or None when there is none.

    `NEOX_TERMINAL` says it for a rank whose output a launcher passes on to a terminal; 0 asks for plain lines.

    Raises:
        UserError: `NEOX_TERMINAL` is not a number of columns.
    """
    stated = environment.get(VARIABLE)
    if stated is None:
        return shutil.get_terminal_size().columns if stream.isatty() else None
    if not stated.isdecimal():
        raise UserError(
            f"{VARIABLE} is {stated!r}, but it is the number of columns of the terminal; "
            "set it to 0 for plain lines, or unset it"
        )
    return int(stated) or None


def _fitting(fields: Sequence[str], columns: int) -> str:
    text = ""
    for field in fields:
        longer = f"{text}{SEPARATOR}{field}" if text else field
        if len(longer) > columns:
            break
        text = longer
    return text or fields[0][:columns]
