"""The contract of a training objective: from the model's output and a batch to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor

from neox_core.model.head import HeadOutput

Batch = Mapping[str, Tensor]
"""The fields of a micro-batch: `tokens` and whatever the objective lists, all with the batch as first dimension."""


@dataclass(frozen=True, slots=True)
class LossOutput:
    """The loss of one micro-batch.

    Args:
        loss: scalar to minimise, the mean over what counts.
        weight: how many tokens (or pairs, ...) the mean was over, a scalar.
        metrics: further scalars to log, averaged as the loss is.
    """

    loss: Tensor
    weight: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """What a run minimises."""

    batch_fields: tuple[str, ...]
    """Names of the batch's fields beside `tokens` that `loss` reads; they exist at the last pipeline stage."""

    def loss(self, head: HeadOutput, batch: Batch) -> LossOutput:
        """The loss of one micro-batch."""


@runtime_checkable
class WeighingObjective(Objective, Protocol):
    """An objective that knows before the forward pass what its loss is the mean over, as `loss_normalisation: global_tokens` needs."""

    def weight(self, batch: Batch) -> Tensor:
        """The weight that `loss` will give the micro-batch, a scalar."""
