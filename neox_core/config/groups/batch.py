"""Samples in a step."""

from neox_core.config.settings import Settings, setting


class BatchSettings(Settings, group="batch"):
    """Samples in a step: at least one of the first two; what is not given is computed."""

    train_batch_size: int | None = setting(
        None, "Samples in one optimizer step, over all ranks", origin="deepspeed", gt=0
    )
    train_micro_batch_size_per_gpu: int | None = setting(
        None, "Samples in one forward pass of one rank", origin="deepspeed", gt=0
    )
    gradient_accumulation_steps: int | None = setting(
        None, "Forward passes in one step", origin="deepspeed", aliases=("gas",), gt=0
    )
