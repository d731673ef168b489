"""What DeepSpeed 0.19 knows by name, so that what it does not know is found before it starts."""

from __future__ import annotations

OF_OTHER_GROUPS = frozenset({"bf16", "bfloat16", "fp16", "gradient_clipping", "optimizer", "scheduler"})
"""Keys of DeepSpeed's configuration beside those of the groups `deepspeed` and `batch`; `bfloat16` is an old `bf16`."""

NAMES_OF_GPT_NEOX = {
    "fp16": frozenset({"fp16", "type"}),
    "bf16": frozenset(
        {"bf16", "loss_scale", "loss_scale_window", "initial_scale_power", "hysteresis", "min_loss_scale"}
    ),
}
"""Key -> names in its dictionary that GPT-NeoX's files have beside those, and that are not handed to DeepSpeed."""
