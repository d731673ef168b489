"""What plugins can do with checkpoints of other families on disk, without knowing what that is: layers above say so in types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neox_core.plugins.components import Converter
from neox_core.plugins.manager import ComponentError, PluginManager


def directories(plugins: PluginManager) -> Iterator[tuple[str, Any]]:
    """Families of checkpoints that can be read from a disk, by the converter's name; those that cannot be had here are left out."""
    for name in plugins.names("converter"):
        try:
            offer = plugins.find("converter", name)
        except ComponentError:
            continue  # whoever asks for it by its name is told why
        if isinstance(offer.component, Converter) and offer.component.directories is not None:
            yield name, plugins.load(offer, offer.component.directories)()


def recognised(path: Path, plugins: PluginManager) -> tuple[str, Any] | None:
    """The family that a directory or file is a checkpoint of, and the converter's name; None: no plugin knows it."""
    return next(((name, family) for name, family in directories(plugins) if family.recognises(path)), None)
