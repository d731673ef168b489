"""Rules over several keys of Mamba."""

from __future__ import annotations

from collections.abc import Iterator

from neox_attention.layer_names import mixer_names
from neox_core.config import NeoXArgs
from neox_core.errors import Problem

EXPANSION = 2
"""Channels as a multiple of hidden_size, where nothing else is said."""


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """The kernel for the whole block has neither a bias nor a sum over ranks between the convolution and the scan; and each
    tensor-parallel rank has some of the channels."""
    if args.mamba_inner_func_fusion and args.mamba_use_bias_in_linears:
        yield Problem(
            keys=("mamba_inner_func_fusion", "mamba_use_bias_in_linears"),
            message="both are true, and the kernel that fuses the whole block has no such biases",
            remedy="set mamba_inner_func_fusion to false; mamba_selective_scan_fusion and mamba_causal_conv_fusion remain",
        )
    if args.mamba_inner_func_fusion and args.model_parallel_size > 1 and "mamba" in mixer_names(args.attention_config):
        yield Problem(
            keys=("mamba_inner_func_fusion", "model_parallel_size"),
            message=f"the kernel that fuses the whole block cannot sum over model_parallel_size {args.model_parallel_size} ranks "
            "within it",
            remedy="set mamba_inner_func_fusion to false; mamba_selective_scan_fusion and mamba_causal_conv_fusion remain",
        )
    ranks = args.model_parallel_size
    width = args.intermediate_size or (args.expansion_factor or EXPANSION) * args.hidden_size
    if 1 <= width < ranks and "mamba" in mixer_names(args.attention_config):
        yield Problem(
            keys=("intermediate_size" if args.intermediate_size else "hidden_size", "model_parallel_size"),
            message=f"mamba's {int(width)} channels are fewer than model_parallel_size {ranks} ranks",
            remedy=f"set model_parallel_size: {int(width)} or less, or make the model wider",
        )
