"""Saving and resuming."""

from __future__ import annotations

from neox_core.config.settings import Settings, setting


class CheckpointSettings(Settings, group="checkpoint"):
    """Saving and resuming."""

    save: str | None = setting(None, "Directory for checkpoints; none: nothing is saved", origin="megatron")
    load: str | None = setting(None, "Directory with checkpoints to resume from", origin="megatron")
    checkpoint_factor: int | None = setting(
        None, "Steps between checkpoints; none: only at the end", origin="gpt-neox", gt=0
    )
    extra_save_iters: list[int] | None = setting(None, "Further steps after which to save", origin="gpt-neox")
    keep_last_n_checkpoints: int | None = setting(None, "How many to keep; none: all", origin="gpt-neox", gt=0)
    iteration: int | None = setting(
        None, "Step of the checkpoint to resume from; none: the newest", origin="gpt-neox", ge=0
    )
