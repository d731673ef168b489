"""Number formats."""

from typing import Any, Literal

from neox_core.config.settings import Settings, setting

SUPERSEDED = "the fp16 dictionary says it"


class PrecisionSettings(Settings, group="precision"):
    """Number formats, and the scaling of losses in fp16."""

    precision: Literal["fp32", "fp16", "bfloat16"] | None = setting(
        None, "Of parameters and activations; none: as the fp16 and bf16 dictionaries say", origin="gpt-neox"
    )
    fp16: dict[str, Any] | None = setting(None, "DeepSpeed's fp16 dictionary", origin="deepspeed")
    bf16: dict[str, Any] | None = setting(
        None, "DeepSpeed's bf16 dictionary", origin="deepspeed", aliases=("bfloat16",)
    )
    fp16_lm_cross_entropy: bool = setting(
        False, "Compute the cross entropy of a model in fp16 in fp16 rather than fp32", origin="megatron"
    )
    loss_scale: float | None = setting(
        None, "Fixed factor of the loss; none: it is adjusted", origin="megatron", changes="nothing", unused=SUPERSEDED
    )
    loss_scale_window: float = setting(
        1000.0, "Steps after which the factor is raised", origin="megatron", changes="nothing", unused=SUPERSEDED
    )
    min_scale: float = setting(
        1.0,
        "Smallest factor",
        origin="megatron",
        changes="nothing",
        unused="`min_loss_scale` of the fp16 dictionary says it",
    )
    hysteresis: int = setting(
        2, "Overflows before the factor is lowered", origin="megatron", changes="nothing", unused=SUPERSEDED
    )
