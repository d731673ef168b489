"""Keys of GPT-NeoX for things that are no more; files that have them go on working."""

from typing import Any, Literal

from neox_core.config.settings import KeyOrigin, Settings, setting

LAUNCHED = "the launcher tells each rank its number"
AUTORESUME = "there is no such service"
DEEPSCALE = "it is what DeepSpeed was called at first, which is always the engine"


def _retired(default: Any, description: str, reason: str, origin: KeyOrigin = "megatron") -> Any:
    return setting(default, description, origin=origin, changes="nothing", unused=reason)


class RetiredSettings(Settings, group="retired"):
    """Keys of GPT-NeoX for things that are no more; files that have them go on working."""

    # Processes

    rank: int | None = _retired(None, "Number of a process", LAUNCHED)
    local_rank: int | None = _retired(None, "Number of a process on its host", LAUNCHED)
    lazy_mpu_init: bool = _retired(
        False, "Leave the process groups to the caller", "neox makes its process groups itself"
    )
    adlr_autoresume: bool = _retired(False, "Ask a cluster's service when to end", AUTORESUME)
    adlr_autoresume_interval: int = _retired(1000, "Steps between questions", AUTORESUME)

    # Programs

    deepspeed: Literal[True] = _retired(True, "Whether DeepSpeed is the engine", "it always is the engine", "deepspeed")
    deepscale: bool = _retired(False, "Whether DeepSpeed is the engine", DEEPSCALE)
    deepscale_config: str | None = _retired(None, "File with DeepSpeed's configuration", DEEPSCALE)
    fused_kernels_build_path: str | None = _retired(
        None, "Directory in which kernels are compiled", "nothing is compiled at start", "gpt-neox"
    )
    onnx_safe: bool = _retired(False, "Avoid what ONNX lacks", "models are not exported to ONNX")
    git_hash: str | None = _retired(None, "Commit of the program", "each run records its versions itself", "gpt-neox")
