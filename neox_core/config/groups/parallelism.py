"""How a model is cut over ranks."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class ParallelismSettings(Settings, group="parallelism"):
    """How a model is cut over ranks, and how they talk."""

    pipe_parallel_size: int = setting(0, "Pipeline stages; 0 and 1: none", origin="gpt-neox", changes="speed", ge=0)
    pipe_partition_method: str = setting(
        "type:transformer|mlp",
        "Layers are dealt to stages by their number (`uniform`), their parameters (`parameters`), the number of those "
        "whose class in GPT-NeoX matches (`type:REGEX`), or the time that they take, which is measured (`cost`)",
        origin="gpt-neox",
        changes="speed",
    )
    model_parallel_size: int = setting(1, "Tensor-parallel ranks", origin="megatron", changes="speed", ge=0)
    context_parallel_size: int = setting(1, "Ranks over which the tokens of a sample are cut", changes="speed", gt=0)
    sequence_parallel: bool = setting(
        False,
        "Cut the activations between tensor-parallel layers along the sequence",
        origin="megatron",
        changes="speed",
    )
    distributed_backend: Literal["nccl", "gloo", "mpi", "ccl", "hccl", "sccl", "ucc", "xccl"] = setting(
        "nccl", "Backend of torch.distributed", origin="megatron", changes="speed", pending=True
    )
    fp32_allreduce: bool = setting(
        False, "Sum gradients and tensor-parallel activations over ranks in fp32", origin="deepspeed"
    )
