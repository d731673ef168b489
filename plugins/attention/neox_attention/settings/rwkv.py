"""Keys of RWKV."""

from neox_core.config import Settings, setting


class RWKVSettings(Settings, group="rwkv"):
    """Recurrent mixing with data-dependent decay (Peng et al., 2024)."""

    dim_att: int | None = setting(
        None, "Width of time mixing; none: hidden_size", from_checkpoint="match", origin="gpt-neox", gt=0
    )
    head_size: int | None = setting(
        None,
        "Width of one head of time mixing; none: dim_att / num_attention_heads",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=0,
    )
    ffn_dim: int | None = setting(
        None,
        "Width of channel mixing; none: intermediate_size, or expansion_factor (3.5) times hidden_size, rounded down to a "
        "multiple of 32",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=0,
    )
