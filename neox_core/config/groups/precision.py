"""Number formats."""

from __future__ import annotations

from typing import Any, Literal

from neox_core.config.settings import Settings, setting


class PrecisionSettings(Settings, group="precision"):
    """Number formats."""

    precision: Literal["fp32", "fp16", "bfloat16"] | None = setting(
        None, "Of parameters and activations; none: as the fp16 and bf16 dictionaries say", origin="gpt-neox"
    )
    fp16: dict[str, Any] | None = setting(None, "DeepSpeed's fp16 dictionary", origin="deepspeed")
    bf16: dict[str, Any] | None = setting(None, "DeepSpeed's bf16 dictionary", origin="deepspeed")
