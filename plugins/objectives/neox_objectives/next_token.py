"""Next-token prediction."""

from __future__ import annotations

from neox_core.config import Resolved
from neox_core.model import Batch, HeadOutput, LossOutput


class NextToken:
    """Cross entropy of `labels`, averaged over the tokens of the micro-batch that `loss_mask` counts."""

    batch_fields = ("labels", "loss_mask")

    def __init__(self, resolved: Resolved) -> None:
        pass

    def loss(self, head: HeadOutput, batch: Batch) -> LossOutput:
        """The mean loss; a micro-batch in which nothing counts has loss 0."""
        mask = batch["loss_mask"].float()
        weight = mask.sum()
        total = (head.token_losses(batch["labels"]) * mask).sum()
        return LossOutput(total / weight.clamp(min=1), weight)
