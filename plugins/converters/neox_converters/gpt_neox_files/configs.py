"""The settings of a run of GPT-NeoX: those that lie beside its checkpoint, and those that a user gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neox_core.config import ModelSettings, Ownership
from neox_core.config.derived import DERIVED
from neox_core.config.entries import entries_of, overlaid, plugins_for, read_entries
from neox_core.config.reading import read

ELSEWHERE = (
    "load",
    "save",
    "hostfile",
    "include",
    "exclude",
    "num_nodes",
    "num_gpus",
    "model_parallel_size",
    "pipe_parallel_size",
    "context_parallel_size",
    "gradient_accumulation_steps",
    "train_batch_size",
)
"""Keys about the machines and ranks of the run, which say nothing of one that goes on elsewhere."""


def config_files(path: Path) -> list[Path]:
    """The files that GPT-NeoX has copied into a checkpoint, or, once, beside it."""
    for directory in (path / "configs", path.parent / "configs"):
        if directory.is_dir():
            return sorted(file for file in directory.iterdir() if file.suffix in (".yml", ".yaml", ".json"))
    return []


def read_settings(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """All that is said of the run, in today's keys; what is given wins, and where it is a whole model's, is all.

    Args:
        path: of the checkpoint.
        given: by a user, in today's keys or GPT-NeoX's.

    Raises:
        UserError: a file cannot be read, or has keys that nobody knows.
    """
    said = {key: value for key, value in given.items() if key not in DERIVED}
    overriding = entries_of(said, "given", overrides=True)
    files = [] if {"num_layers", "hidden_size"} <= overriding.keys() else config_files(path)
    entries = overlaid(read_entries(files), overriding)
    found = read(entries.values(), Ownership.of(plugins_for(entries)), partial=True, variables=False)
    return {key: entry.value for key, entry in found.entries.items()}


def says_a_model(settings: Mapping[str, Any]) -> bool:
    """Whether settings are about an architecture at all, so that what they leave out has GPT-NeoX's default."""
    return any(key in ModelSettings.model_fields for key in settings)
