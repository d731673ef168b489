"""The training loop: take a step, record it, and once in a while evaluate, save and stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neox_core.config import CheckpointSettings, ModelSettings, Resolved, TrainingSettings
from neox_core.errors import UserError
from neox_core.launch import LONG
from neox_core.plugins import PluginManager
from neox_core.training.batches import Batches
from neox_core.training.engine import Engine, StepResult
from neox_core.training.ledger import Ledger
from neox_core.training.measures import Measures
from neox_core.training.notice import Notice
from neox_core.training.progress import Progress
from neox_core.training.rendezvous import lost_contact
from neox_core.training.run import Checkpoint, Evaluation, Run, Step
from neox_core.training.saving import Saver, is_due
from neox_core.training.schedule import Schedule
from neox_core.training.stopping import StopRequests
from neox_core.training.streams import stream_states

logger = logging.getLogger("neox")


@dataclass(slots=True, kw_only=True)
class Training:
    """Everything that a run needs, put together; `run` carries it out.

    Args:
        batches: of "train", and of "validation" and "test" where there is such data.
    """

    resolved: Resolved
    plugins: PluginManager
    engine: Engine
    schedule: Schedule
    measures: Measures
    batches: Mapping[str, Batches]
    ledger: Ledger
    saver: Saver
    description: Run
    progress: Progress
    stop: StopRequests

    def run(self) -> int:
        """Train to the end; returns the signal that ended it early, or 0.

        Raises:
            UserError: the gradient was not finite for too many steps in a row, or a checkpoint cannot be written.
        """
        try:
            signal = self._train()
        except BaseException:
            self.complete_after_failure()
            raise
        return signal

    def _train(self) -> int:
        settings, batch = self.resolved[TrainingSettings], self.resolved.batch
        batches = self.ledger.watch(self.batches["train"].seek(self.progress.consumed_samples))
        self.notify("neox_train_start")
        saved, signal = self.progress.iteration, 0
        if self.saver.enabled and saved == 0 and 0 in (self.resolved[CheckpointSettings].extra_save_iters or ()):
            self.save()

        while self.progress.iteration < self.resolved.train_iters and not signal:
            start = time.monotonic()
            rate = self.schedule(self.progress.scheduled)
            result = self.engine.train_step(
                batches,
                step=self.progress.iteration,
                learning_rate=rate,
                notice=Notice(self.stop.received, self.saver.written),
                observe=self.measures.observer(self.progress.iteration + 1),
            )
            self.engine.crumbs.patience = 1
            self.ledger.record(self.progress.iteration + 1, self.progress.consumed_samples)
            self.progress = self.progress.after(result, batch.total)
            if result.applied:
                self.saver.look_at(self.engine)
            seconds, iteration, signal = time.monotonic() - start, self.progress.iteration, result.notice.signal
            last = iteration == self.resolved.train_iters or signal or is_multiple(iteration, settings.exit_interval)

            self.engine.crumbs.at("measures", iteration)
            measures = self.measures.after(iteration, result.applied, self.engine.fragments)
            evaluations = [] if signal else self.evaluations_after(iteration)
            self.engine.crumbs.at("hooks", iteration)
            self.notify("neox_step_end", step=self.step(result, rate, seconds, measures, evaluations))
            if result.notice.written:
                self.tell_saved(self.saver.take_written())
            self.check_skipped()

            if self.saver.enabled and (last or is_due(self.resolved[CheckpointSettings], iteration)):
                saved = self.save()
            if last:
                break

        self.complete()
        if signal and saved != self.progress.iteration:
            logger.warning("stopped by signal %d without saving: `save` is not set", signal)
        return signal

    def save(self) -> int:
        """Write a checkpoint of this moment, or begin to; returns its iteration."""
        self.complete()
        self.engine.crumbs.at("saving", self.progress.iteration, patience=LONG)
        checkpoint = self.saver.save(self.engine, self.progress, self.measures, stream_states(self.batches))
        if checkpoint is not None:
            self.tell_saved(checkpoint)
        return self.progress.iteration

    def complete(self) -> None:
        """Wait for the checkpoint that is being written, if one is."""
        if self.saver.writes:
            self.engine.crumbs.at("waiting for the last checkpoint", self.progress.iteration, patience=LONG)
            self.tell_saved(self.saver.take_written())

    def complete_after_failure(self) -> None:
        """The same where training has failed, which is what is told."""
        try:
            self.complete()
        except Exception as error:  # noqa: BLE001 - the failure to report is the first one
            reason = lost_contact(error) or error
            logger.error("the checkpoint that was being written is not complete: %s", reason)  # noqa: TRY400

    def tell_saved(self, checkpoint: Checkpoint) -> None:
        """Tell the plugins of a complete checkpoint."""
        self.engine.crumbs.at("hooks after saving", self.progress.iteration, patience=LONG)
        self.notify("neox_checkpoint_saved", checkpoint=checkpoint)

    def evaluations_after(self, iteration: int) -> list[Evaluation]:
        """The passes that are due after a step: validation now and then and at the end, test at the very end."""
        settings = self.resolved[TrainingSettings]
        at_end = iteration == self.resolved.train_iters
        due = ["validation"] if at_end or iteration % settings.eval_interval == 0 else []
        due += ["test"] if at_end else []
        number = (iteration - 1) // settings.eval_interval
        return [self.evaluate(split, number) for split in due if split in self.batches and settings.eval_iters]

    def evaluate(self, split: str, number: int) -> Evaluation:
        """The `number`-th pass over a split's batches; each pass goes on where the one before ended, also after resuming."""
        start, passes = time.monotonic(), self.resolved[TrainingSettings].eval_iters
        place = 0 if split == "test" else number * passes * self.resolved.batch.total
        count = passes * self.resolved.batch.accumulation
        means = self.engine.evaluate(self.batches[split].seek(place), count)
        loss, seconds = means.pop("loss"), time.monotonic() - start
        return Evaluation(split=split, loss=loss, batches=count, seconds=seconds, metrics=means)

    def step(
        self,
        result: StepResult,
        rate: float,
        seconds: float,
        measures: Mapping[str, float],
        evaluations: list[Evaluation],
    ) -> Step:
        """What hooks are told of a step."""
        return Step(
            iteration=self.progress.iteration,
            loss=result.loss,
            learning_rate=rate,
            grad_norm=result.grad_norm,
            tokens=self.resolved.batch.total * self.resolved[ModelSettings].seq_length,
            samples=self.progress.consumed_samples,
            seconds=seconds,
            applied=result.applied,
            skip_reason=result.skip_reason,
            skipped=self.progress.skipped,
            metrics=result.metrics,
            measures=measures,
            noise_scale=self.measures.noise_scale,
            loss_scale=result.loss_scale,
            evaluations=tuple(evaluations),
        )

    def check_skipped(self) -> None:
        """End a run that no longer learns."""
        allowed = self.resolved[TrainingSettings].max_skipped_steps
        if self.progress.skipped_in_a_row > allowed:
            raise UserError(
                f"max_skipped_steps: the gradient was not finite in {self.progress.skipped_in_a_row} steps in a row "
                f"(allowed: {allowed}), the last at step {self.progress.iteration}; lower the learning rate, check the data, or "
                "resume from an earlier checkpoint"
            )

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell the plugins; one whose hook fails is named and takes no further part."""
        for failure in self.plugins.notify(hook, run=self.description, **arguments):
            if hook == "neox_train_start":
                raise UserError(f"{failure.plugin}: {failure.hook} failed: {failure.error}") from failure.error
            logger.error("%s: %s failed and is switched off", failure.plugin, failure.hook, exc_info=failure.error)


def is_multiple(iteration: int, interval: int | None) -> bool:
    """Whether an optional interval divides the iteration."""
    return interval is not None and iteration % interval == 0
