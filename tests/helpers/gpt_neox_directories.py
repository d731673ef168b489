"""Directories that GPT-NeoX wrote, opened and written again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from neox_core.checkpoint import Exported, ExportOptions, ForeignCheckpoint
from neox_core.config import NeoXArgs, Resolved, World
from neox_core.plugins import Converter, PluginManager

CHECKPOINTS = Path(__file__).parents[1] / "golden" / "checkpoints"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in CHECKPOINTS.glob("*.expected.json"))


def family() -> Any:
    """The family."""
    plugins = PluginManager()
    offer = plugins.find("converter", "gpt-neox")
    assert isinstance(offer.component, Converter)
    return plugins.load(offer, str(offer.component.directories))()


def config_of(name: str) -> dict[str, Any]:
    """The settings of a recorded directory; its data are not here."""
    config: dict[str, Any] = json.loads((CHECKPOINTS / f"{name}.expected.json").read_text())["config"]
    return {key: value for key, value in config.items() if key != "data_path"}


def opened(name: str, **changes: Any) -> tuple[ForeignCheckpoint, Resolved]:
    """A recorded directory, and its settings on one rank."""
    return open_with(CHECKPOINTS / name, {**config_of(name), **changes})


def open_with(path: Path, given: dict[str, Any]) -> tuple[ForeignCheckpoint, Resolved]:
    """Any directory, and its settings on one rank."""
    found = family().open(path, given)
    return found, NeoXArgs.from_dict(found.settings).resolve(World.local(), found.vocabulary)


def export(found: ForeignCheckpoint, resolved: Resolved, path: Path, **options: Any) -> None:
    """Write a checkpoint that was opened."""
    exported = Exported(
        path=found.path,
        resolved=resolved,
        plugins=PluginManager(),
        weights=found.weights(resolved),
        states=found.states(resolved),
        progress=found.progress,
        tokenizer=found.tokenizer,
    )
    family().write(exported, path, ExportOptions(**options))


def tensors_in(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The weights in each file of a directory, by the file's name."""
    found = {}
    for file in sorted(path.glob("*model_states.pt")):
        content = torch.load(file, weights_only=False)
        weights = content if file.name.startswith("layer") else content["module"] or {}
        found[file.name] = {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    return found
