"""A group with keys that others own: one of acme's and one of the core's."""

from neox_core.config import Settings, setting


class RivalSettings(Settings, group="rival"):
    """Claims."""

    acme_z_loss: float = setting(0.5, "acme's own")
    log_interval: int = setting(7, "the core's own")
    rival_key: int = setting(1, "nobody else's")
