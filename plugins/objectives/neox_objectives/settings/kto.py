"""Keys of Kahneman-Tversky optimisation."""

from neox_core.config import Settings, setting


class KTOSettings(Settings, group="kto"):
    """Kahneman-Tversky optimisation (Ethayarajh et al., 2024)."""

    kto_beta: float = setting(0.1, "How closely to stay to the reference model", origin="gpt-neox", pending=True, gt=0)
    kto_desirable_weight: float = setting(1.0, "Weight of good answers", origin="gpt-neox", pending=True, ge=0)
    kto_undesirable_weight: float = setting(1.0, "Weight of bad answers", origin="gpt-neox", pending=True, ge=0)
    kto_fp32: bool = setting(True, "Log-probabilities in fp32", origin="gpt-neox", pending=True)
