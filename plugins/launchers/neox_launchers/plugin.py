"""What this plugin offers: ways to start the ranks of a job."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, Launcher


def neox_components() -> Iterable[Component]:
    """The launchers."""
    return [
        Launcher(
            name="local",
            summary="processes on this machine, one a rank, on CPUs or GPUs",
            factory="neox_launchers.local:build",
        )
    ]


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_launchers.settings.deepspeed:DeepSpeedLauncherSettings",
        "neox_launchers.settings.slurm:SlurmSettings",
        "neox_launchers.settings.mpi:MPISettings",
    ]
