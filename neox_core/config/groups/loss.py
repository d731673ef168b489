"""What is minimised beside the cross entropy, and what it is the mean over."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class LossSettings(Settings, group="loss"):
    """The loss of next-token prediction, and what any loss is the mean over."""

    loss_normalisation: Literal["micro_batch", "global_tokens"] = setting(
        "micro_batch",
        "What the loss of a step is: the mean over micro-batches and ranks of their means, as in GPT-NeoX, or the mean over all "
        "tokens that count, however they are cut",
    )
    label_smoothing: float = setting(
        0.0, "Probability that is spread over the whole vocabulary in training (Szegedy et al., 2016)", ge=0, lt=1
    )
    logit_z_loss: float = setting(
        0.0,
        "Weight of the squared logarithm of the softmax's denominator in training, which keeps logits near 0 (Chowdhery et al., "
        "2022, have 1e-4)",
        ge=0,
    )
