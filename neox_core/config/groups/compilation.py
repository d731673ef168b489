"""torch.compile."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class CompilationSettings(Settings, group="compilation"):
    """Layers compiled by torch.compile, which fuses what is between matrix multiplications. All layers of a kind share one graph."""

    torch_compile: bool = setting(
        False,
        "Compile each layer at its first use, which takes some seconds to minutes; dropout then drops other units",
        changes="speed",
    )
    torch_compile_mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = setting(
        "default", "What torch.compile spends its time on; on CPUs it is always `default`", changes="speed"
    )
