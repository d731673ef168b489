"""What this plugin offers: verbs of the command line beyond the core's, and their keys."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Commands


def neox_commands(commands: Commands) -> None:
    """Add the verbs."""
    commands.add("data", "neox_commands.data:main", help="make token files from text")
    commands.add("mup", "neox_commands.mup:main", help="base shapes of muP, and its coordinate check")
    commands.add("plan", "neox_commands.plan:main", help="what a run needs of each rank: memory, communication, work")
    commands.add(
        "checkpoint", "neox_commands.checkpoint:main", help="list, show, verify, compare and change checkpoints"
    )
    commands.add(
        "convert", "neox_commands.convert:main", help="checkpoints of other families to ours, and ours to theirs"
    )
    commands.add("migrate", "neox_commands.migrate:main", help="make a run of GPT-NeoX one of neox, checkpoint and all")
    commands.add("generate", "neox_commands.generate:main", help="let a trained model write")


def neox_settings() -> Iterable[str]:
    """Keys of the verbs."""
    return [
        "neox_commands.settings.generation:GenerationSettings",
        "neox_commands.settings.evaluation:EvaluationSettings",
    ]
