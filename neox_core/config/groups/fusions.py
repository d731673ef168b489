"""Switches of GPT-NeoX's fused kernels, which compute the same faster; here torch has them."""

from typing import Any

from neox_core.config.settings import Settings, setting

FUSED = "attention is one kernel of torch anyway, and torch.compile fuses the rest"
"""What has taken the place of all of them; told once, by a rule."""


def _fusion(description: str) -> Any:
    return setting(False, description, origin="gpt-neox", changes="nothing", unused=FUSED)


class FusionSettings(Settings, group="fusions"):
    """Fused kernels, which compute the same faster."""

    scaled_upper_triang_masked_softmax_fusion: bool = _fusion(
        "Scaling, causal mask and softmax of attention in one kernel"
    )
    scaled_masked_softmax_fusion: bool = _fusion("Scaling, any mask and softmax of attention in one kernel")
    bias_dropout_fusion: bool = _fusion("Bias, dropout and residual addition in one kernel")
    rope_fusion: bool = _fusion("Rotary positions in one kernel")
    layernorm_fusion: bool = _fusion("Layernorm in one kernel")
    rmsnorm_fusion: bool = _fusion("Rmsnorm in one kernel")
    use_flashattn_swiglu: bool = _fusion("Swiglu in flash-attn's kernel")
