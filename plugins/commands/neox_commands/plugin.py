"""What this plugin offers: verbs of the command line beyond the core's."""

from __future__ import annotations

from neox_core.plugins import Commands


def neox_commands(commands: Commands) -> None:
    """Add the verbs."""
    commands.add("data", "neox_commands.data:main", help="make token files from text")
    commands.add("generate", "neox_commands.generate:main", help="let a trained model write")
