"""Keys of the optimizers."""

from neox_core.config import Settings, setting


class OptimizerVariantSettings(Settings, group="optimizer_variants"):
    """Which implementation of an optimizer."""

    use_bnb_optimizer: bool = setting(
        False, "Optimizer states in 8 bits, by bitsandbytes", origin="gpt-neox", pending=True
    )
