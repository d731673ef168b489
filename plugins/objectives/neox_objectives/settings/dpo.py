"""Keys of direct preference optimisation."""

from neox_core.config import Settings, setting


class DPOSettings(Settings, group="dpo"):
    """Direct preference optimisation (Rafailov et al., 2023)."""

    dpo_beta: float = setting(0.1, "How closely to stay to the reference model", origin="gpt-neox", pending=True, gt=0)
    dpo_reference_free: bool = setting(False, "Do without a reference model", origin="gpt-neox", pending=True)
    dpo_fp32: bool = setting(True, "Log-probabilities in fp32", origin="gpt-neox", pending=True)
