"""The console's lines about a step and about what happens after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_loggers.formats import count, duration, percentage, real, size
from neox_loggers.measures import Pace, perplexity

if TYPE_CHECKING:
    from neox_core.training.run import Checkpoint, Evaluation, Run, Step

BAR = 16  # characters


def progress(run: Run, step: Step, pace: Pace, peak: float) -> list[str]:
    """The fields of a step's line; with steps in the thousands they fit a terminal of 80 columns.

    Args:
        run: the run.
        step: the step.
        pace: of the recent steps.
        peak: FLOP/s of the whole machine.
    """
    speed = pace.tokens_per_second
    fields = [
        position(run, step.iteration),
        f"loss {real(step.loss)}",
        f"lr {step.learning_rate:.2e}".replace("e-0", "e-"),
        *([] if step.grad_norm is None else [f"grad {step.grad_norm:.3g}"]),
        f"{count(speed)} tok/s",
        f"eta {duration(pace.seconds_for(run.train_iters - step.iteration))}",
        f"{percentage(run.flops_per_token * speed / peak)} peak",
    ]
    if step.loss_scale is not None:
        fields.append(f"scale {step.loss_scale:,.15g}")
    if step.noise_scale is not None:
        fields.append(f"noise {count(step.noise_scale)}")
    return fields + [f"{name} {real(value)}" for name, value in step.metrics.items()]


def skipped(run: Run, step: Step) -> list[str]:
    """The fields of the line of a step that the optimizer did not make."""
    return [position(run, step.iteration), f"skipped: {step.skip_reason} ({step.skipped:,} so far)"]


def evaluated(run: Run, iteration: int, evaluation: Evaluation) -> list[str]:
    """The fields of the line of an evaluation pass."""
    return [
        position(run, iteration),
        f"{evaluation.split} loss {real(evaluation.loss)}",
        f"perplexity {real(perplexity(evaluation.loss))}",
        *(f"{name} {real(value)}" for name, value in evaluation.metrics.items()),
        f"{evaluation.batches:,} batches in {evaluation.seconds:.1f} s",
    ]


def saved(run: Run, checkpoint: Checkpoint) -> list[str]:
    """The fields of the line of a finished checkpoint."""
    beside = (
        f", of which training stood still {checkpoint.paused:.2f} s" if checkpoint.paused < checkpoint.seconds else ""
    )
    return [
        position(run, checkpoint.iteration),
        f"saved {checkpoint.path}",
        f"{size(checkpoint.bytes)} in {checkpoint.seconds:.1f} s{beside}",
    ]


def position(run: Run, iteration: int) -> str:
    """` 20/200`, as wide at the first step as at the last."""
    return f"{iteration:>{len(str(run.train_iters))}}/{run.train_iters}"


def bar(share: float) -> str:
    """A bar of which `share` is filled, and the percentage."""
    return f"[{'#' * int(BAR * share):-<{BAR}}] {percentage(share)}"
