"""Checkpoints: complete, or not there at all. `save`, `find`, `Reader`, `load_fragments` and `prune` are all of it."""

from neox_core.checkpoint.files import FileRecord, replacing, write_file
from neox_core.checkpoint.group import Group, SoloGroup, TorchGroup
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest
from neox_core.checkpoint.random_state import capture, restore
from neox_core.checkpoint.reader import Reader, load_fragments
from neox_core.checkpoint.retention import prune
from neox_core.checkpoint.saving import save
from neox_core.checkpoint.search import find, require_none_later

__all__ = [
    "DamagedCheckpoint",
    "FileRecord",
    "Group",
    "Manifest",
    "Reader",
    "SoloGroup",
    "TorchGroup",
    "capture",
    "find",
    "load_fragments",
    "prune",
    "replacing",
    "require_none_later",
    "restore",
    "save",
    "write_file",
]
