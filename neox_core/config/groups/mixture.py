"""Mixtures of experts, as far as the core reads them."""

from neox_core.config.settings import Settings, setting


class MixtureSettings(Settings, group="mixture"):
    """Which layers have a mixture of experts, and whose."""

    moe_num_experts: int = setting(
        1,
        "Experts of a layer; 1: no mixture",
        from_checkpoint="match",
        origin="gpt-neox",
        aliases=("num_experts",),
        ge=1,
    )
    moe_expert_interval: int = setting(
        1,
        "Every how many layers there is a mixture, beginning with the first",
        from_checkpoint="match",
        origin="gpt-neox",
        aliases=("expert_interval",),
        ge=1,
    )
    moe_type: str = setting("torch", "Implementation of the mixture, by name", origin="gpt-neox")
