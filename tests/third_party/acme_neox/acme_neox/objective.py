"""Next-token prediction that keeps logits small (de Brébisson and Vincent, 2016)."""

from __future__ import annotations

from acme_neox.settings import ObjectiveSettings
from neox_core.config import Resolved
from neox_core.model import Batch, HeadOutput, LossOutput


class NextTokenWithZLoss:
    """Cross entropy of `labels` plus a share of the squared log of the softmax's denominator."""

    batch_fields = ("labels", "loss_mask")

    def __init__(self, resolved: Resolved) -> None:
        self.share = resolved[ObjectiveSettings].acme_z_loss

    def loss(self, head: HeadOutput, batch: Batch) -> LossOutput:
        """The mean over the tokens that `loss_mask` counts; metric `z_loss`."""
        mask = batch["loss_mask"].float()
        weight = mask.sum()
        size = head.logits().float().logsumexp(-1).square()
        z_loss = self.share * (size * mask).sum() / weight
        cross_entropy = (head.token_losses(batch["labels"]) * mask).sum() / weight
        return LossOutput(cross_entropy + z_loss, weight, {"z_loss": z_loss})
