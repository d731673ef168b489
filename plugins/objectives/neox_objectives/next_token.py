"""Next-token prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_core.config import LossSettings, PrecisionSettings, Resolved
from neox_core.model import Batch, HeadOutput, LossOutput


class NextToken:
    """Cross entropy of `labels`, averaged over the tokens of the micro-batch that `loss_mask` counts.

    Label smoothing and z-loss are parts of what is minimised in training. The loss of an evaluation is without them, so that runs
    which differ in them can be compared, and that its exponential is the perplexity.
    """

    batch_fields = ("labels", "loss_mask")

    def __init__(self, resolved: Resolved) -> None:
        loss, half = resolved[LossSettings], resolved[PrecisionSettings].fp16_lm_cross_entropy
        self.label_smoothing, self.z_loss = loss.label_smoothing, loss.logit_z_loss
        self.dtype = torch.float16 if half else torch.float32

    def loss(self, head: HeadOutput, batch: Batch) -> LossOutput:
        """The mean loss; a micro-batch in which nothing counts has loss 0."""
        weight = self.weight(batch)
        smoothing, z_loss = (self.label_smoothing, self.z_loss) if head.training else (0.0, 0.0)
        losses = head.token_losses(batch["labels"], smoothing, z_loss, self.dtype)
        return LossOutput((losses * batch["loss_mask"]).sum() / weight.clamp(min=1), weight)

    def weight(self, batch: Batch) -> Tensor:
        """The number of tokens that count."""
        return batch["loss_mask"].sum()
