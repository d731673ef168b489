"""What this plugin offers: optimizers, by the names of `optimizer.type`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neox_core.plugins import Component, Optimizer

_ADAMW: dict[str, Any] = {
    "factory": "neox_optimizers.adam:build",
    "params": "neox_optimizers.params:AdamParams",
    "zero": frozenset({1}),
}


def neox_components() -> Iterable[Component]:
    """The optimizers."""
    return [
        Optimizer(name="adamw", summary="Adam with decoupled weight decay, torch's fused implementation", **_ADAMW),
        Optimizer(name="adam", summary="the same as adamw, as in GPT-NeoX", **_ADAMW),
        Optimizer(name="cpu_torch_adam", summary="the same as adamw: torch's on every device", **_ADAMW),
    ]


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_optimizers.settings:OptimizerVariantSettings",
    ]
