"""A logger: an object with the lifecycle hooks that it wants."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from acme_neox.settings import CSVSettings

if TYPE_CHECKING:
    from neox_core.config import Resolved
    from neox_core.training import Run, Step


class CSVLogger:
    """Writes a line a step on the main rank."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def neox_step_end(self, run: Run, step: Step) -> None:
        """Append the step."""
        if run.is_main:
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerow([step.iteration, repr(step.loss), *map(repr, step.metrics.values())])


def build(resolved: Resolved, run_dir: Path) -> CSVLogger:
    """The logger of a run."""
    return CSVLogger(run_dir / (resolved[CSVSettings].acme_csv or "steps.csv"))
