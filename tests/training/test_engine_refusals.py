"""What DeepSpeed refuses all the same is said with the place and the value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from neox_core.training.engine import refusal


@pytest.mark.parametrize(
    ("given", "beginning"),
    [
        ({"comms_logger": {"enabled": 5}}, "comms_logger.enabled: 5 ("),
        (
            {"zero_optimization": {"stage": 1, "offload_param": {"pin_memory": "x"}}},
            "zero_optimization.offload_param.pin_",
        ),
        ({"tensorboard": {"output_path": None}}, "tensorboard.output_path: null ("),
        ({"fp16": {"enabled": True, "min_loss_scale": 0}}, "fp16: {enabled: true, min_loss_scale: 0} ("),
    ],
)
def test_a_refusal_names_the_place_and_the_value(given, beginning):
    from deepspeed.runtime.config import DeepSpeedConfig

    config = {"train_batch_size": 1, **given}
    with pytest.raises(ValidationError) as caught:
        DeepSpeedConfig(dict(config))
    assert refusal(caught.value, config).startswith(f"DeepSpeed refuses {beginning}")
