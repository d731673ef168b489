"""Where neox computes otherwise than GPT-NeoX."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class CompatibilitySettings(Settings, group="compatibility"):
    """Where neox computes otherwise than GPT-NeoX."""

    compat: Literal["gpt-neox"] | None = setting(
        None,
        "gpt-neox: compute as GPT-NeoX does also where that is a defect which neox has mended",
    )
