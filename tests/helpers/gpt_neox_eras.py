"""Directories of GPT-NeoX as other versions of it would have written them, made of recorded ones and of made-up weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from gpt_neox_directories import CHECKPOINTS
from torch import Tensor

Change = Callable[[str, Any], None]
"""Changes the content of a file of this name, in place."""


def copied(name: str, path: Path) -> Path:
    """A recorded directory, to be changed; its checkpoint."""
    shutil.copytree(CHECKPOINTS / name, path / name)
    return path / name / "global_step3"


def changed(checkpoint: Path, change: Change, pattern: str = "*.pt") -> Path:
    """The same with its files changed."""
    for file in sorted(checkpoint.glob(pattern)):
        content = torch.load(file, weights_only=False)
        change(file.name, content)
        torch.save(content, file)
    return checkpoint


def weights_of(content: Any) -> dict[str, Tensor]:
    """Where a file has its weights: the dictionary itself."""
    found: dict[str, Tensor] = content.get("module", content)
    return found


def renamed(names: Mapping[str, str]) -> Change:
    """Weights whose names end so have other names."""

    def change(file: str, content: Any) -> None:
        weights = weights_of(content)
        if weights is None:
            return
        items = list(weights.items())
        weights.clear()
        for name, value in items:
            for now, then in names.items():
                if name.endswith(now):
                    name = name.removesuffix(now) + then
            weights[name] = value

    return change


def each(end: str, make: Callable[[str, Tensor], Mapping[str, Tensor]]) -> Change:
    """Each weight whose name ends so becomes others."""

    def change(file: str, content: Any) -> None:
        weights = weights_of(content)
        if weights is None:
            return
        items = list(weights.items())
        weights.clear()
        for name, value in items:
            weights.update(make(name.removesuffix(end), value) if name.endswith(end) else {name: value})

    return change


def without_optimizer(file: str, content: Any) -> None:
    """Weights alone, and how far the run was."""
    if "optimizer" in content:
        content["optimizer"] = None
