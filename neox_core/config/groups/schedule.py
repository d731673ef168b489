"""The learning rate over time."""

from typing import Any, Literal

from neox_core.config.settings import Settings, setting

Semantics = Literal["clamped", "neox", "neox_2023", "neox_2021"]
"""By which formulas the schedules that GPT-NeoX has too are computed: ours, or its own of one of three times."""


class ScheduleSettings(Settings, group="schedule"):
    """The learning rate over time."""

    lr_decay_style: str = setting(
        "linear", "Schedule, by name: constant, linear, cosine, exponential, wsd, or a plugin's", origin="megatron"
    )
    lr_decay_iters: int | None = setting(
        None, "Steps over which the rate falls; none: train_iters", origin="megatron", gt=0
    )
    lr_decay_fraction: float | None = setting(
        None, "The same as a share of train_iters, where lr_decay_iters is not given", origin="gpt-neox", gt=0, le=1
    )
    min_lr: float = setting(0.0, "Lower bound of the rate", origin="megatron", ge=0)
    warmup: float = setting(0.01, "Share of the decay steps over which the rate rises", origin="megatron", ge=0, le=1)
    lr_wsd_decay_fraction: float = setting(
        0.1, "With lr_decay_style: wsd, share of the decay steps that the final decay takes", gt=0, le=1
    )
    lr_wsd_decay_iters: int | None = setting(None, "The same in steps; none: as lr_wsd_decay_fraction says", gt=0)
    lr_wsd_decay_style: Literal["linear", "cosine", "1-sqrt"] = setting("linear", "Form of that final decay")
    lr_semantics: Semantics | None = setting(
        None,
        "Formulas of the four schedules that GPT-NeoX has: clamped (they stay at their end), or GPT-NeoX's own: neox (since May "
        "2026), neox_2023 (from September 2023), neox_2021 (until August 2023: GPT-NeoX-20B, Pythia); none: clamped, or neox "
        "with compat: gpt-neox",
    )
    override_lr_scheduler: bool = setting(
        False, "On resuming, follow these settings where the checkpoint has others", origin="megatron"
    )
    use_checkpoint_lr_scheduler: bool = setting(
        False, "On resuming, follow the checkpoint's schedule where these settings differ", origin="megatron"
    )
    scheduler: dict[str, Any] | None = setting(
        None, "One of DeepSpeed's schedules in place of all of these: its `type` and `params`", origin="deepspeed"
    )
