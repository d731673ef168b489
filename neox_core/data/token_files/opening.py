"""Opens token files of any format."""

from __future__ import annotations

from pathlib import Path

from neox_core.data.token_files.token_file import TokenFile


def open_tokens(prefix: str | Path, impl: str = "infer") -> TokenFile:
    """The token file of a prefix.

    Raises:
        UserError: a file is missing or damaged, or the two do not belong together.
    """
    return TokenFile(prefix)
