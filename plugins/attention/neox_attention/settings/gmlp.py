"""Keys of gMLP and aMLP."""

from neox_core.config import Settings, setting


class GMLPSettings(Settings, group="gmlp"):
    """Gated MLPs that mix along the sequence (Liu et al., 2021)."""

    gmlp_attn_dim: int | None = setting(
        64,
        "Width of the single attention head of amlp; none: no attention",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=0,
    )
