"""Maximal update parametrisation (Yang et al., 2022): hyper-parameters found on a narrow model hold for a wide one."""

from neox_core.config.settings import Settings, setting

DEAD = "no part of the model reads it, in GPT-NeoX neither"


class MuPSettings(Settings, group="mup"):
    """Maximal update parametrisation."""

    use_mup: bool = setting(
        False,
        "Scale initial weights and learning rates by width",
        from_checkpoint="match",
        origin="gpt-neox",
        pending=True,
    )
    base_shapes_file: str | None = setting(
        None,
        "File with the shapes of the narrow model, read or, by save_base_shapes, written",
        origin="gpt-neox",
        pending=True,
    )
    save_base_shapes: bool = setting(
        False, "Write base_shapes_file and end", origin="gpt-neox", changes="nothing", pending="refused"
    )
    coord_check: bool = setting(
        False, "Measure activations at several widths and end", origin="gpt-neox", changes="nothing", pending="refused"
    )
    mup_width_scale: int = setting(
        2,
        "By what the width differs in the second model that gives the base shapes",
        origin="gpt-neox",
        pending=True,
        ge=2,
    )
    mup_init_scale: float = setting(1.0, "Factor of all initial weights", origin="gpt-neox", pending=True, gt=0)
    mup_embedding_mult: float = setting(
        1.0,
        "Factor of the embedding's output",
        from_checkpoint="take",
        origin="gpt-neox",
        pending=True,
        gt=0,
    )
    mup_rp_embedding_mult: float = setting(
        1.0,
        "Factor of the learned positions",
        from_checkpoint="take",
        origin="gpt-neox",
        pending=True,
        gt=0,
    )
    mup_attn_temp: float = setting(
        1.0, "Temperature of attention", origin="gpt-neox", changes="nothing", unused=DEAD, gt=0
    )
    mup_output_temp: float = setting(
        1.0, "Temperature of the output", origin="gpt-neox", changes="nothing", unused=DEAD, gt=0
    )
