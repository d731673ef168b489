"""Training runs in a rank of `Workers` that copy their checkpoints to a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import training_runs


def run(environment: Mapping[str, str], directory: Path, **changes: Any) -> SimpleNamespace:
    """One run, in a process that has an environment for as long as it takes; and what came of it."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return training_runs.run(directory, **changes)
    finally:
        os.environ.clear()
        os.environ.update(before)
