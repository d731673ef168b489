"""Models that are wider than a base model, and their settings."""

from __future__ import annotations

from typing import Any

from training_models import SETTINGS, resolve

from neox_core.config import Resolved
from neox_core.model import LanguageModel
from neox_core.plugins import PluginManager
from neox_core.training.mup import base_shapes_of


def base_shapes(**changes: Any) -> dict[str, Any]:
    """The shapes of the model of these settings, as the key `base_shapes` has them."""
    return base_shapes_of(*resolve(**changes)).to_dict()


def wider(times: int = 2, **changes: Any) -> tuple[Resolved, PluginManager]:
    """Settings with muP, so many times as wide as the base model: more heads of the same size, unless `changes` say otherwise."""
    sizes = {key: SETTINGS[key] * times for key in ("hidden_size", "num_attention_heads")}
    alike = {key: value for key, value in changes.items() if key not in sizes and not key.startswith("mup_")}
    return resolve(**{**sizes, "use_mup": True, "base_shapes": base_shapes(**alike), **changes})


def wide_model(times: int = 2, **changes: Any) -> LanguageModel:
    """The model of these settings, in evaluation mode."""
    return LanguageModel(*wider(times, **changes)).eval()
