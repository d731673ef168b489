"""Which optimizer, and the size of its steps."""

from typing import Any

from neox_core.config.settings import Settings, setting


class OptimizerSettings(Settings, group="optimizer"):
    """Which optimizer, and the size of its steps."""

    optimizer: dict[str, Any] | None = setting(
        None, "`type`: an optimizer by name, `params`: its options; none: Adam with lr 0.001", origin="deepspeed"
    )
    weight_decay: float = setting(0.1, "Decay of weights; biases and norms are exempt", origin="megatron", ge=0)
    gradient_clipping: float = setting(1.0, "Largest norm of the gradient; 0: no clipping", origin="deepspeed", ge=0)
    use_bnb_optimizer: bool = setting(
        False,
        "Moments of adam and adamw in 8 bits, by bitsandbytes: the same as optimizer.type adam8bit",
        origin="gpt-neox",
    )
