"""Keys of Mamba."""

from neox_core.config import Settings, setting


class MambaSettings(Settings, group="mamba"):
    """Selective state spaces (Gu and Dao, 2023). Their width is `intermediate_size`, or `expansion_factor` (2) times `hidden_size`."""

    mamba_use_bias_in_conv: bool = setting(True, "Bias of the convolution", from_checkpoint="match", origin="gpt-neox")
    mamba_use_bias_in_linears: bool = setting(
        False, "Biases of the projections into, out of and within the block", from_checkpoint="match", origin="gpt-neox"
    )
    mamba_selective_fp32_params: bool = setting(
        True, "Keep the parameters A and D in fp32", from_checkpoint="take", origin="gpt-neox"
    )
    mamba_selective_scan_fusion: bool = setting(
        False, "On CUDA: the scan by mamba-ssm's kernel, which is installed apart", origin="gpt-neox", changes="speed"
    )
    mamba_causal_conv_fusion: bool = setting(
        False,
        "On CUDA: the convolution by causal-conv1d's kernel, which is installed apart",
        origin="gpt-neox",
        changes="speed",
    )
    mamba_inner_func_fusion: bool = setting(
        False,
        "On CUDA: convolution, scan and projections by one kernel of mamba-ssm, which is installed apart",
        origin="gpt-neox",
        changes="speed",
    )
