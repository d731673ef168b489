"""What a run came to: collected step by step, told at the end."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING

from neox_core.config import TrainingSettings
from neox_loggers.formats import amount, count, duration, percentage, real
from neox_loggers.measures import peak_name, perplexity

if TYPE_CHECKING:
    from neox_core.training.run import Checkpoint, Evaluation, Run, Step


class Summary:
    """The totals of the steps that this process made."""

    def __init__(self) -> None:
        self.steps = 0
        self.skipped = 0
        self.tokens = 0
        self.first: Step | None = None
        self.last: Step | None = None
        self.best: dict[str, tuple[float, int]] = {}  # of each split: the lowest loss, and after which step
        self.checkpoint: Checkpoint | None = None
        self._seconds = 0.0

    def add_step(self, step: Step) -> None:
        """Count a step and its evaluations."""
        self.first = self.first or step
        self.last = step
        self.steps += 1
        self.skipped += not step.applied
        self.tokens += step.tokens
        self._seconds += step.seconds
        for evaluation in step.evaluations:
            self._add_evaluation(evaluation, step.iteration)

    @property
    def tokens_per_second(self) -> float:
        """The mean over all steps but the first, which also warms up; nan before the first."""
        if self.first is None:
            return math.nan
        if self.steps == 1:
            return self.tokens / self._seconds
        return (self.tokens - self.first.tokens) / (self._seconds - self.first.seconds)

    def lines(self, run: Run, *, peak: float, seconds: float, error: BaseException | None) -> list[str]:
        """The story of the run.

        Args:
            run: the run.
            peak: FLOP/s of the whole machine.
            seconds: wall-clock since training started.
            error: what ended it.
        """
        iteration = self.last.iteration if self.last else run.start_iteration
        outcome = _outcome(run, iteration, error)
        headline = f"{outcome} at step {iteration:,} of {run.train_iters:,} after {duration(seconds)}"
        rows = [*_mistake(error), *self._losses(), *self._amount(run, peak), *self._files(run)]
        return [headline, *(f"  {label:<12}{text}" for label, text in rows)]

    def _add_evaluation(self, evaluation: Evaluation, iteration: int) -> None:
        if evaluation.loss < self.best.get(evaluation.split, (math.inf, 0))[0]:
            self.best[evaluation.split] = (evaluation.loss, iteration)

    def _losses(self) -> list[tuple[str, str]]:
        rows = [
            (split, f"best loss {real(loss)}, perplexity {real(perplexity(loss))}, at step {iteration:,}")
            for split, (loss, iteration) in self.best.items()
        ]
        if self.first and self.last:
            rows.insert(0, ("loss", f"{real(self.first.loss)} at first, {real(self.last.loss)} at last"))
        return rows

    def _amount(self, run: Run, peak: float) -> list[tuple[str, str]]:
        if self.first is None:
            return []
        speed = self.tokens_per_second
        share = percentage(run.flops_per_token * speed / peak)
        return [
            ("steps", f"{self.steps:,}" + (f", {self.skipped:,} of them skipped" if self.skipped else "")),
            ("tokens", count(self.tokens)),
            ("speed", f"{count(speed)} tokens/s, {share} of the {peak_name(run.resolved)}, {amount(peak, 'FLOP/s')}"),
        ]

    def _files(self, run: Run) -> list[tuple[str, str]]:
        logs = ("logs", str(run.directory))
        if self.checkpoint is None:
            return [logs]
        return [("checkpoint", f"step {self.checkpoint.iteration:,} in {self.checkpoint.path}"), logs]


def _outcome(run: Run, iteration: int, error: BaseException | None) -> str:
    if error is None:
        if iteration >= run.train_iters:
            return "done"
        interval = run.resolved[TrainingSettings].exit_interval
        return "stopped early" if interval is None else f"stopped early, as `exit_interval: {interval}` asks,"
    stop = _signal(error)
    return "failed" if stop is None else f"stopped by {stop}"


def _mistake(error: BaseException | None) -> list[tuple[str, str]]:
    """The first line of an error; what raised it tells the rest."""
    if error is None or _signal(error) is not None:
        return []
    return [("error", f"{type(error).__name__}: {error}".splitlines()[0])]


def _signal(error: BaseException) -> str | None:
    """The signal behind an interruption or an exit code of 128 + n."""
    match error:
        case KeyboardInterrupt():
            return signal.SIGINT.name
        case SystemExit(code=int(code)) if code > 128:
            names = {number.value: number.name for number in signal.Signals}
            return names.get(code - 128, f"signal {code - 128}")
        case _:
            return None
