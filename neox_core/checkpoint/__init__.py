"""Checkpoints: complete, or not there at all. `save`, `find`, `Reader`, `load_fragments` and `prune` are all of it.

Looking for checkpoints costs no torch: names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.checkpoint.family import (
        Exported as Exported,
        ExportOptions as ExportOptions,
        Family as Family,
        ForeignCheckpoint as ForeignCheckpoint,
        Reference as Reference,
        families as families,
        find_family as find_family,
        require_family as require_family,
    )
    from neox_core.checkpoint.foreign import (
        Foreign as Foreign,
        check_shapes as check_shapes,
        open_foreign as open_foreign,
    )
    from neox_core.checkpoint.group import Group as Group, SoloGroup as SoloGroup, TorchGroup as TorchGroup
    from neox_core.checkpoint.lazy import (
        HeldTensors as HeldTensors,
        LazyTensors as LazyTensors,
        Overlaid as Overlaid,
        Renamed as Renamed,
        Typed as Typed,
    )
    from neox_core.checkpoint.manifest import DamagedCheckpoint as DamagedCheckpoint, Manifest as Manifest
    from neox_core.checkpoint.offline import write_checkpoint as write_checkpoint
    from neox_core.checkpoint.random_state import capture as capture, restore as restore
    from neox_core.checkpoint.reader import Reader as Reader
    from neox_core.checkpoint.retention import prune as prune
    from neox_core.checkpoint.saving import save as save
    from neox_core.checkpoint.search import find as find, require_none_later as require_none_later
    from neox_core.checkpoint.snapshot import Snapshots as Snapshots
    from neox_core.checkpoint.source import (
        RoleTensors as RoleTensors,
        TensorSource as TensorSource,
        WholeTensors as WholeTensors,
        load_fragments as load_fragments,
    )

__getattr__ = lazy_names(
    __name__,
    {
        "family": (
            "Exported",
            "ExportOptions",
            "Family",
            "ForeignCheckpoint",
            "Reference",
            "families",
            "find_family",
            "require_family",
        ),
        "foreign": ("Foreign", "check_shapes", "open_foreign"),
        "group": ("Group", "SoloGroup", "TorchGroup"),
        "lazy": ("HeldTensors", "LazyTensors", "Overlaid", "Renamed", "Typed"),
        "manifest": ("DamagedCheckpoint", "Manifest"),
        "random_state": ("capture", "restore"),
        "offline": ("write_checkpoint",),
        "reader": ("Reader",),
        "retention": ("prune",),
        "saving": ("save",),
        "search": ("find", "require_none_later"),
        "snapshot": ("Snapshots",),
        "source": ("RoleTensors", "TensorSource", "WholeTensors", "load_fragments"),
    },
)
