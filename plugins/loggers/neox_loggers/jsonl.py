"""`metrics.jsonl`: everything that happens in a run, one JSON object a line.

The events are "start", "step" (each step), "evaluation", "checkpoint" and "end"; each has "time", in seconds since
1970. Floats are written so that they read back exactly; nan and infinities, for which JSON has no number, are the
strings "nan", "inf" and "-inf", which `float` understands. Each start of a run writes a file of its own, in the
directory of that start; the "iteration" of its "start" event says after which step it began. `curve` joins such files.
A step has "model_flops_utilization" where `peak_theoretical_tflops` says what it is a share of.
"""

from __future__ import annotations

import dataclasses
import json
import math
import mmap
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from neox_loggers.measures import stated_peak

if TYPE_CHECKING:
    from neox_core.config import Resolved
    from neox_core.training.run import Checkpoint, Evaluation, Run, Step

FILE = "metrics.jsonl"


class JsonLines:
    """Appends the events of the run to a file; only the main rank does.

    Args:
        path: the file.
        clock: seconds since 1970.
        peak: FLOP/s of the whole machine, of which the utilisation is a share; None: it is not told.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, peak: float | None = None) -> None:
        self.path = path
        self._clock = clock
        self._peak = peak
        self._file: TextIO | None = None

    def neox_train_start(self, run: Run) -> None:
        """Open the file and say what is about to run."""
        if not run.is_main:
            return
        self._file = _open(self.path)
        self._write(
            "start",
            iteration=run.start_iteration,
            run=run.name,
            train_iters=run.train_iters,
            world_size=run.world_size,
            parameters=run.parameters,
            flops_per_token=run.flops_per_token,
            resumed_from=run.resumed_from,
        )

    def neox_step_end(self, run: Run, step: Step) -> None:
        """Write the step and its evaluations."""
        fields = _fields(step)
        del fields["evaluations"]
        if self._peak is not None:
            fields["model_flops_utilization"] = run.flops_per_token * step.tokens / step.seconds / self._peak
        self._write("step", **fields)
        for evaluation in step.evaluations:
            self._write("evaluation", iteration=step.iteration, **_fields(evaluation))

    def neox_checkpoint_saved(self, run: Run, checkpoint: Checkpoint) -> None:
        """Write where the checkpoint is."""
        self._write("checkpoint", **_fields(checkpoint))

    def neox_train_end(self, run: Run, error: BaseException | None) -> None:
        """Write how it ended and close the file."""
        self._write("end", error=None if error is None else f"{type(error).__name__}: {error}")
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, event: str, **fields: Any) -> None:
        if self._file is not None:
            record = {"event": event, "time": self._clock(), **fields}
            self._file.write(json.dumps(_plain(record), allow_nan=False) + "\n")
            self._file.flush()


def build(resolved: Resolved, run_dir: Path) -> JsonLines:
    """The logger of a run; it writes `metrics.jsonl` in `run_dir`."""
    return JsonLines(run_dir / FILE, peak=stated_peak(resolved))


def _fields(record: Step | Evaluation | Checkpoint) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _plain(value: Any) -> Any:
    """`value` as strict JSON can say it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value


def _open(path: Path) -> TextIO:
    """Open for appending, without the half line that a killed writer may have left at the end."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end_of_last_line = content.rfind(b"\n") + 1
        os.truncate(path, end_of_last_line)
    return path.open("a", encoding="utf-8")
