"""How a model is cut over ranks."""

from __future__ import annotations

from neox_core.config.settings import Settings, setting


class ParallelismSettings(Settings, group="parallelism"):
    """How a model is cut over ranks."""

    pipe_parallel_size: int = setting(0, "Pipeline stages; 0 and 1: none", origin="gpt-neox", ge=0)
    model_parallel_size: int = setting(1, "Tensor-parallel ranks", origin="megatron", ge=0)
