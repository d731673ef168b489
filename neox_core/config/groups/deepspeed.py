"""DeepSpeed's own configuration."""

from __future__ import annotations

from typing import Any

from neox_core.config.settings import Settings, setting


class DeepSpeedSettings(Settings, group="deepspeed"):
    """What is handed to DeepSpeed."""

    zero_optimization: dict[str, Any] | None = setting(None, "ZeRO's dictionary, with its stage", origin="deepspeed")
    steps_per_print: int | None = setting(
        None, "Steps between DeepSpeed's own lines; none: it is silent", origin="deepspeed", gt=0
    )
    wall_clock_breakdown: bool = setting(False, "DeepSpeed's timing of the parts of a step", origin="deepspeed")
    deepspeed_extra_args: dict[str, Any] | None = setting(
        None, "Further keys of DeepSpeed's configuration; none may repeat one that is set otherwise", origin="gpt-neox"
    )
