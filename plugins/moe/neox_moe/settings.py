"""Keys of mixtures of experts beyond those that the core reads."""

from __future__ import annotations

from neox_core.config import Settings, setting


class MoESettings(Settings, group="moe"):
    """How tokens are given to experts."""

    moe_top_k: int = setting(1, "Experts of each token", from_checkpoint="match", origin="gpt-neox", ge=1)
    moe_loss_coeff: float = setting(0.1, "Weight of the load-balancing loss", origin="gpt-neox", ge=0)
