"""Damage in files of torch.save, which torch itself does not look for: their archives have a CRC-32 of each record."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from neox_core.errors import UserError

_AT_ONCE = 4
"""Files that are read at the same time."""

_CHUNK = 2**24
"""Bytes that are read at a time."""


def verify_archives(paths: Iterable[Path]) -> None:
    """Read files whole; those that have no such sums, of other kinds or of a torch that was told not to compute them, are passed over.

    Raises:
        UserError: bytes of one are not those that were written.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(verify_archive, paths):
            pass


def verify_archive(path: Path, ending: str = "") -> None:
    """Read one file, or of it the records whose names end so.

    Raises:
        UserError: its bytes are not those that were written.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                if record.CRC and record.filename.endswith(ending):  # torch writes 0 where it computes none
                    with archive.open(record) as content:
                        while content.read(_CHUNK):
                            pass
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"{path} is damaged: its bytes are not those that were written ({error}). Fetch it again from where it came from"
        ) from error
