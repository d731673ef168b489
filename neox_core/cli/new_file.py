"""Files that a verb was asked to write, which never replace another."""

from __future__ import annotations

from pathlib import Path

from neox_core.errors import UserError


def write_new(path: Path, text: str, option: str) -> None:
    """Write a file that does not exist yet.

    Args:
        path: the file.
        text: what it says.
        option: the option that named it.

    Raises:
        UserError: it does.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"{option}: {path} exists; remove it or choose another name") from error
