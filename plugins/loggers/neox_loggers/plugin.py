"""What this plugin offers: where a run's numbers go."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, Logger


def neox_components() -> Iterable[Component]:
    """The loggers."""
    return [
        Logger(
            name="console",
            summary="a live progress line, lasting lines, and a summary at the end",
            factory="neox_loggers.console:build",
            default=True,
        ),
        Logger(
            name="jsonl",
            summary="every step as a line of JSON in metrics.jsonl of the run's directory",
            factory="neox_loggers.jsonl:build",
            default=True,
        ),
        Logger(
            name="tensorboard",
            summary="TensorBoard event files",
            factory="neox_loggers.tensorboard:build",
            settings=("neox_loggers.settings.tensorboard:TensorBoardSettings",),
            extra="tensorboard",
            enabled_by="tensorboard_dir",
        ),
    ]


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_loggers.settings.wandb:WandbSettings",
        "neox_loggers.settings.comet:CometSettings",
        "neox_loggers.settings.profiler:ProfilerSettings",
    ]
