"""TensorBoard event files, with the names that GPT-NeoX gives its scalars; the x axis is the iteration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neox_loggers.measures import perplexity, stated_peak
from neox_loggers.settings.tensorboard import TensorBoardSettings

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from neox_core.config import Resolved
    from neox_core.training.run import Checkpoint, Evaluation, Run, Step

FLUSH_SECONDS = 5  # at most this much is lost when the process is killed


class TensorBoard:
    """Writes scalars to event files; only the main rank does.

    Starting at iteration k hides what is in the directory about later iterations, so a resumed run draws one curve.

    Args:
        directory: the event files go to a folder in it that is named after the run.
        open_writer: `torch.utils.tensorboard.SummaryWriter`.
    """

    def __init__(self, directory: Path, open_writer: Callable[..., SummaryWriter]) -> None:
        self.directory = directory
        self._open_writer = open_writer
        self._writer: SummaryWriter | None = None

    def neox_train_start(self, run: Run) -> None:
        """Open an event file."""
        if run.is_main:
            self._writer = self._open_writer(
                self.directory / run.name, purge_step=run.start_iteration + 1, flush_secs=FLUSH_SECONDS
            )

    def neox_step_end(self, run: Run, step: Step) -> None:
        """Write the scalars of the step and of its evaluations."""
        if self._writer is None:
            return
        self._add(self._writer, step.iteration, step_scalars(run, step))
        for evaluation in step.evaluations:
            self._add(self._writer, step.iteration, evaluation_scalars(evaluation))
            self._writer.flush()

    def neox_checkpoint_saved(self, run: Run, checkpoint: Checkpoint) -> None:
        """Bring everything up to the checkpoint to disk."""
        if self._writer is not None:
            self._writer.flush()

    def neox_train_end(self, run: Run, error: BaseException | None) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @staticmethod
    def _add(writer: SummaryWriter, iteration: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            writer.add_scalar(name, value, iteration)


def build(resolved: Resolved, run_dir: Path) -> TensorBoard:
    """The logger of a run; it writes below `tensorboard_dir`, or below `run_dir` when that key is not set."""
    from torch.utils.tensorboard import SummaryWriter

    directory = resolved[TensorBoardSettings].tensorboard_dir
    return TensorBoard(Path(directory or run_dir / "tensorboard"), SummaryWriter)


def step_scalars(run: Run, step: Step) -> dict[str, float]:
    """The scalars of one step, by name."""
    tokens_per_second = step.tokens / step.seconds
    scalars = {
        "train/lm_loss": step.loss,
        "train/learning_rate": step.learning_rate,
        "train/skipped_steps": float(step.skipped),
        "runtime/iteration_time": step.seconds,
        "runtime/samples_per_sec": run.resolved.batch.total / step.seconds,
        "runtime/steps_per_sec": 1 / step.seconds,
        "runtime/tokens_per_sec": tokens_per_second,
        "runtime/flops_per_sec_per_gpu": run.flops_per_token * tokens_per_second / run.world_size,
    }
    stated = stated_peak(run.resolved)
    optional = {
        "train/grad_norm": step.grad_norm,
        "train/noise_scale": step.noise_scale,
        "train/loss_scale": step.loss_scale,
        "runtime/model_flops_utilization": stated and run.flops_per_token * tokens_per_second / stated,
    }
    scalars |= {name: value for name, value in optional.items() if value is not None}
    return scalars | {f"train/{name}": value for name, value in step.metrics.items()} | dict(step.measures)


def evaluation_scalars(evaluation: Evaluation) -> dict[str, float]:
    """The scalars of one evaluation pass, by name."""
    scalars = {"lm_loss": evaluation.loss, "lm_loss_ppl": perplexity(evaluation.loss), **evaluation.metrics}
    return {f"{evaluation.split}/{name}": value for name, value in scalars.items()}
