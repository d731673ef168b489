"""What this plugin offers: mixtures of experts, by the names of `moe_type`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from neox_core.plugins import Component, Feature, MoE, resolve

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs, World
    from neox_core.errors import Problem


def neox_components() -> Iterable[Component]:
    """The implementations."""
    return [
        MoE(
            name="torch",
            summary="dropless top-k mixture in plain torch, one expert after the other",
            factory="neox_moe.torch_mixture:TorchMixture",
            settings=("neox_moe.settings:MoESettings",),
            supports=frozenset({Feature.PP, Feature.SP, Feature.TP}),
            status="provisional",
        )
    ]


def neox_check(args: NeoXArgs, world: World) -> Iterable[Problem]:
    """A token has no more experts than there are."""
    found: Iterable[Problem] = resolve("neox_moe.rules:problems")(args)
    return found
