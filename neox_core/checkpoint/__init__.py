"""Checkpoints: complete, or not there at all. `save`, `find`, `Reader`, `load_fragments` and `prune` are all of it.

Looking for checkpoints costs no torch: names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.checkpoint.group import Group as Group, SoloGroup as SoloGroup, TorchGroup as TorchGroup
    from neox_core.checkpoint.manifest import DamagedCheckpoint as DamagedCheckpoint, Manifest as Manifest
    from neox_core.checkpoint.random_state import capture as capture, restore as restore
    from neox_core.checkpoint.reader import Reader as Reader, load_fragments as load_fragments
    from neox_core.checkpoint.retention import prune as prune
    from neox_core.checkpoint.saving import save as save
    from neox_core.checkpoint.search import find as find, require_none_later as require_none_later

__getattr__ = lazy_names(
    __name__,
    {
        "group": ("Group", "SoloGroup", "TorchGroup"),
        "manifest": ("DamagedCheckpoint", "Manifest"),
        "random_state": ("capture", "restore"),
        "reader": ("Reader", "load_fragments"),
        "retention": ("prune",),
        "saving": ("save",),
        "search": ("find", "require_none_later"),
    },
)
