"""The forward and backward passes of a step: by one rank for all layers, or by the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from neox_core.model import Batch, LossOutput

Share = Tensor | float
"""What the objective's own loss of a micro-batch counts, where 1 is the mean of all micro-batches."""

Phase = Literal["forward", "backward"]

Begin = Callable[[Phase, int], None]
"""Told of each pass before it begins, and the number of its micro-batch: to seed dropout, and to say where a rank is."""

Record = Callable[[LossOutput, Share], None]
"""Told what the objective gave for a micro-batch, and its share."""


class Passes(Protocol):
    """What depends on whether there is a pipeline.

    Args:
        engine: DeepSpeed's.
    """

    engine: Any

    def train(self, micro_batches: Iterable[tuple[Batch, Share]], begin: Begin, record: Record) -> None:
        """All passes of a step, of which the gradients are left for the step to be taken.

        Args:
            micro_batches: of this rank, each with its share.
            begin: told of each pass.
            record: where the objective is computed, told what it gave.
        """

    def evaluate(self, batches: Iterable[Batch], count: int, record: Callable[[Batch, LossOutput], None]) -> None:
        """Forward passes of `count` batches; where the objective is computed, `record` is told what it gave."""

    def logits(self, batch: Batch) -> Tensor:
        """Those of a batch, [batch, seq, padded vocabulary], on every rank of the same replica."""


class PlainPasses:
    """One rank has all layers.

    Args:
        engine: DeepSpeed's, of a `TrainingModule`.
        accumulation: micro-batches of a step.
    """

    def __init__(self, engine: Any, accumulation: int) -> None:
        self.engine, self._accumulation = engine, accumulation

    def train(self, micro_batches: Iterable[tuple[Batch, Share]], begin: Begin, record: Record) -> None:
        """Forward and backward, one micro-batch after the other."""
        for number, (batch, share) in enumerate(micro_batches):
            begin("forward", number)
            loss, output = self.engine(batch, share)
            begin("backward", number)
            self.engine.backward(loss)
            record(output, share)
            if number < self._accumulation - 1:
                self.engine.step()

    def evaluate(self, batches: Iterable[Batch], count: int, record: Callable[[Batch, LossOutput], None]) -> None:
        """One after the other."""
        for _, batch in zip(range(count), batches, strict=False):
            _, output = self.engine.module(batch)
            record(batch, output)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """What the model gives, by way of the engine, which has weights in place while they are used."""
        logits: Tensor = self.engine(batch, share=None)
        return logits
