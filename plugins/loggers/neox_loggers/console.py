"""The console: what a run is, how it goes and what it came to, for a person who watches."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from neox_core.config import LoggingSettings
from neox_loggers import lines
from neox_loggers.measures import Pace, stated_peak
from neox_loggers.opening import opening
from neox_loggers.peak import machine_peak, matmul_peak
from neox_loggers.summary import Summary
from neox_loggers.terminal import Terminal, columns_of

if TYPE_CHECKING:
    from neox_core.config import Resolved
    from neox_core.training.run import Checkpoint, Run, Step

REDRAW_SECONDS = 0.1  # faster than this nobody reads
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Console:
    """A live line in a terminal, and lasting lines for what should still be there afterwards; main rank only.

    A lasting line is written every `log_interval` steps, at the first and the last step, for skipped steps, evaluations
    and checkpoints. It shows the values of its own step, as the other loggers have them; speed and remaining time are
    medians over recent steps.

    Args:
        terminal: where to write.
        log_interval: in steps.
        find_peak: gives the FLOP/s of the whole machine, stated or measured; called once, when training starts.
        clock: seconds.
    """

    def __init__(
        self,
        terminal: Terminal,
        *,
        log_interval: int,
        find_peak: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._log_interval = log_interval
        self._find_peak = find_peak
        self._clock = clock
        self._peak = math.nan
        self._started = self._redrawn = clock()
        self._pace = Pace()
        self._summary = Summary()

    def neox_train_start(self, run: Run) -> None:
        """Say what is about to run."""
        if run.is_main:
            self._peak = self._find_peak()
            for text in opening(run, self._peak):
                self._terminal.line(text)
            self._started = self._clock()
            self._terminal.live("waiting for the first step")

    def neox_step_end(self, run: Run, step: Step) -> None:
        """Show the step and its evaluations."""
        if run.is_main:
            self._pace.add(tokens=step.tokens, seconds=step.seconds)
            self._summary.add_step(step)
            self._show(run, step)
            for evaluation in step.evaluations:
                self._terminal.line(*lines.evaluated(run, step.iteration, evaluation))

    def neox_checkpoint_saved(self, run: Run, checkpoint: Checkpoint) -> None:
        """Show where it is."""
        if run.is_main:
            self._summary.checkpoint = checkpoint
            self._terminal.line(*lines.saved(run, checkpoint))

    def neox_train_end(self, run: Run, error: BaseException | None) -> None:
        """Sum up."""
        if run.is_main:
            seconds = self._clock() - self._started
            for text in self._summary.lines(run, peak=self._peak, seconds=seconds, error=error):
                self._terminal.line(text)

    def _show(self, run: Run, step: Step) -> None:
        if not step.applied:
            self._terminal.line(*lines.skipped(run, step))
            return
        fields = lines.progress(run, step, self._pace, self._peak)
        if step.iteration % self._log_interval == 0 or step.iteration in {run.start_iteration + 1, run.train_iters}:
            self._terminal.line(*fields)
        elif self._clock() - self._redrawn >= REDRAW_SECONDS:
            self._redrawn = self._clock()
            self._terminal.live(*fields, lines.bar(step.iteration / run.train_iters))


def build(resolved: Resolved, run_dir: Path) -> Console:
    """The logger of a run; it writes to the standard output.

    Raises:
        UserError: the variable `NEOX_TERMINAL` is not a number of columns.
    """

    def find_peak() -> float:
        stated = stated_peak(resolved)
        if stated is not None:
            return stated
        rank_peak = matmul_peak(resolved.world.device, DTYPES[resolved.precision])
        return machine_peak(
            rank_peak, resolved.world, threads=torch.get_num_threads(), cores=len(os.sched_getaffinity(0))
        )

    return Console(
        Terminal(sys.stdout, columns_of(sys.stdout, os.environ)),
        log_interval=resolved[LoggingSettings].log_interval,
        find_peak=find_peak,
    )
