"""What this plugin offers: training objectives, by the names of `train_impl`."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, Objective


def neox_components() -> Iterable[Component]:
    """The objectives."""
    return [
        Objective(
            name="normal",
            summary="next-token cross entropy, averaged over each micro-batch",
            factory="neox_objectives.next_token:NextToken",
            status="provisional",
        )
    ]


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_objectives.settings.dpo:DPOSettings",
        "neox_objectives.settings.kto:KTOSettings",
        "neox_objectives.settings.reward:RewardSettings",
        "neox_objectives.settings.reinforce:ReinforceSettings",
    ]
