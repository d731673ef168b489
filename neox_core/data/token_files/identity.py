"""Whether an open file is still the one of its name."""

from __future__ import annotations

import os
from pathlib import Path


def is_at(status: os.stat_result, path: Path) -> bool:
    """Whether the file of this status is the one at `path`; other processes may rename and remove files meanwhile."""
    try:
        return os.path.samestat(status, path.stat())
    except FileNotFoundError:
        return False
