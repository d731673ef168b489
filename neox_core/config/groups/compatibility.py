"""Where neox computes otherwise than GPT-NeoX."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class CompatibilitySettings(Settings, group="compatibility"):
    """Where neox computes otherwise than GPT-NeoX."""

    compat: Literal["gpt-neox"] | None = setting(
        None,
        "gpt-neox: compute as GPT-NeoX does also where that is a defect which neox has mended",
    )
    row_parallel_bias_copies: int | None = setting(
        None,
        "Copies of the biases of the attention's output and the MLP's in parallel blocks whose sum a run of GPT-NeoX trained, one on "
        "each tensor-parallel rank: the bias moves as many times as fast; none: 1, with compat: gpt-neox model_parallel_size",
        gt=0,
    )
    clip_norm_blocks: int | None = setting(
        None,
        "Leading blocks of which norms and row-parallel biases count in the norm for clipping: those of the first stage of a pipeline "
        "of GPT-NeoX without ZeRO, which leaves them out of later stages and counts tied weights twice; none: all count once",
        ge=0,
    )
