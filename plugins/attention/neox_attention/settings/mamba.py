"""Keys of Mamba."""

from neox_core.config import Settings, setting


class MambaSettings(Settings, group="mamba"):
    """Selective state spaces (Gu and Dao, 2023)."""

    mamba_use_bias_in_conv: bool = setting(
        True, "Bias of the convolution", from_checkpoint="match", origin="gpt-neox", pending=True
    )
    mamba_use_bias_in_linears: bool = setting(
        False,
        "Biases of the projections into and out of the block",
        from_checkpoint="match",
        origin="gpt-neox",
        pending=True,
    )
    mamba_selective_fp32_params: bool = setting(
        True, "Keep the parameters A and D in fp32", from_checkpoint="take", origin="gpt-neox", pending=True
    )
    mamba_selective_scan_fusion: bool = setting(
        False, "The scan in one kernel", origin="gpt-neox", changes="speed", pending=True
    )
    mamba_causal_conv_fusion: bool = setting(
        False, "The convolution in one kernel", origin="gpt-neox", changes="speed", pending=True
    )
    mamba_inner_func_fusion: bool = setting(
        False, "Convolution, scan and projections in one kernel", origin="gpt-neox", changes="speed", pending=True
    )
