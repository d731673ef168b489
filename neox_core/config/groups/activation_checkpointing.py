"""Activations that are computed again in the backward pass rather than kept."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class ActivationCheckpointingSettings(Settings, group="activation_checkpointing"):
    """Activations that are computed again in the backward pass, which costs time and saves memory."""

    checkpoint_activations: bool = setting(False, "Keep the inputs of layers only", origin="megatron", changes="speed")
    checkpoint_num_layers: int = setting(
        1, "Layers of which one input is kept", origin="megatron", changes="speed", gt=0
    )
    checkpoint_policy: Literal["full", "selective"] = setting(
        "full",
        "What is computed again: everything, or what is cheap, while results of matrix multiplications and attention are kept",
        changes="speed",
    )
    partition_activations: bool = setting(
        False, "Cut what is kept over tensor-parallel ranks", origin="megatron", changes="speed"
    )
    checkpoint_in_cpu: bool = setting(False, "Keep it in the host's memory", origin="megatron", changes="speed")
    contiguous_checkpointing: bool = setting(
        False,
        "Keep it in one piece of memory, against fragmentation",
        origin="megatron",
        changes="nothing",
        unused="PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True in the environment keeps memory from fragmenting",
    )
    synchronize_each_layer: bool = setting(
        False, "Wait for the device before and after each such layer", origin="megatron", changes="speed"
    )
    profile_backward: bool = setting(
        False,
        "Time the backward pass of such layers",
        origin="megatron",
        changes="nothing",
        unused="a profiler shows every layer, forward and backward",
    )
    deepspeed_activation_checkpointing: bool = setting(
        True,
        "Use DeepSpeed's implementation",
        origin="gpt-neox",
        changes="nothing",
        unused="checkpoint_activations alone decides",
    )
