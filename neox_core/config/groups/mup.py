"""Maximal update parametrisation (Yang et al., 2022): hyper-parameters found on a narrow model hold for a wide one."""

from typing import Any

from neox_core.config.settings import Settings, setting

NO_SECOND_MODEL = "which dimensions grow with the width is seen by holding the model's shapes against the base shapes"


class MuPSettings(Settings, group="mup"):
    """Maximal update parametrisation."""

    use_mup: bool = setting(
        False,
        "Scale initial weights, learning rates, attention and logits by how much wider the model is than the base model",
        from_checkpoint="match",
        origin="gpt-neox",
    )
    base_shapes_file: str | None = setting(
        None,
        "YAML or JSON file with the shapes of the base model, read or, with save_base_shapes, written",
        origin="gpt-neox",
    )
    base_shapes: dict[str, Any] | None = setting(
        None,
        "What base_shapes_file holds, in place of it; a run puts it into the settings that it saves",
        from_checkpoint="take",
    )
    save_base_shapes: bool = setting(
        False, "Write the shapes of this model to base_shapes_file and end", origin="gpt-neox", changes="nothing"
    )
    coord_check: bool = setting(
        False,
        "GPT-NeoX's switch for measuring activations at several widths, which `neox mup coord-check` does; a run refuses it",
        origin="gpt-neox",
        changes="nothing",
    )
    mup_width_scale: int = setting(
        2,
        "By what the width differs in the second model that gives the base shapes",
        origin="gpt-neox",
        changes="nothing",
        unused=NO_SECOND_MODEL,
        ge=2,
    )
    mup_init_scale: float = setting(
        1.0,
        "With use_mup, factor of the initial weights that init_method and output_layer_init_method describe",
        origin="gpt-neox",
        gt=0,
    )
    mup_embedding_mult: float = setting(
        1.0, "With use_mup, factor of the embedding's output", from_checkpoint="take", origin="gpt-neox", gt=0
    )
    mup_rp_embedding_mult: float = setting(
        1.0,
        "Factor of what positions add to the embedding; without use_mup too, as in GPT-NeoX",
        from_checkpoint="take",
        origin="gpt-neox",
        gt=0,
    )
    mup_attn_temp: float = setting(
        1.0, "With use_mup, what attention scores are divided by", from_checkpoint="take", origin="gpt-neox", gt=0
    )
    mup_output_temp: float = setting(
        1.0, "With use_mup, what logits are divided by", from_checkpoint="take", origin="gpt-neox", gt=0
    )
