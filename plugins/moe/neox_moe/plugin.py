"""What this plugin offers: mixtures of experts, by the names of `moe_type`."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, MoE


def neox_components() -> Iterable[Component]:
    """The implementations."""
    return [
        MoE(
            name="torch",
            summary="dropless top-k mixture in plain torch, one expert after the other",
            factory="neox_moe.torch_mixture:TorchMixture",
            settings=("neox_moe.settings:MoESettings",),
            status="provisional",
        )
    ]
