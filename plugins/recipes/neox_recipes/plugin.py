"""What this plugin offers: recipes, by the names that `neox train` takes."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, Recipe


def neox_components() -> Iterable[Component]:
    """The recipes."""
    return [
        Recipe(
            name="llama3_8b",
            summary="pre-training of Llama 3 with 8 billion parameters",
            factory="neox_recipes.llama3_8b:pretrain_recipe",
        )
    ]


def neox_targets() -> Iterable[str]:
    """What a file may name."""
    return [
        "neox_recipes.data",
        "neox_recipes.logs",
        "neox_recipes.models",
        "neox_recipes.optimizers",
        "neox_recipes.pretraining.pretrain",
        "neox_recipes.trainer",
    ]
