"""The learning rate over time."""

from typing import Any

from neox_core.config.settings import Settings, setting


class ScheduleSettings(Settings, group="schedule"):
    """The learning rate over time."""

    lr_decay_style: str = setting("linear", "Schedule, by name", origin="megatron")
    lr_decay_iters: int | None = setting(
        None, "Steps over which the rate falls; none: train_iters", origin="megatron", gt=0
    )
    lr_decay_fraction: float | None = setting(
        None, "The same as a share of train_iters, where lr_decay_iters is not given", origin="gpt-neox", gt=0, le=1
    )
    min_lr: float = setting(0.0, "Lower bound of the rate", origin="megatron", ge=0)
    warmup: float = setting(0.01, "Share of the decay steps over which the rate rises", origin="megatron", ge=0, le=1)
    override_lr_scheduler: bool = setting(
        False, "On resuming, follow these settings where the checkpoint has others", origin="megatron", pending=True
    )
    use_checkpoint_lr_scheduler: bool = setting(
        False, "On resuming, follow the checkpoint where these settings differ", origin="megatron", pending=True
    )
    scheduler: dict[str, Any] | None = setting(
        None,
        "One of DeepSpeed's schedules in place of all of these: its `type` and `params`",
        origin="deepspeed",
        pending=True,
    )
