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
