"""Keys of reward models."""

from neox_core.config import Settings, setting


class RewardSettings(Settings, group="reward"):
    """Reward models, which learn to tell good answers from bad ones."""

    z_loss: float = setting(
        0.0, "Weight of the squared rewards, which keeps them near 0", origin="gpt-neox", pending=True, ge=0
    )
