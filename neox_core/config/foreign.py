"""Settings of checkpoints of other families, which converters of plugins read; costs no torch where they need none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_core.config.presets import MANIFEST, RUN_SETTINGS, newest
from neox_core.plugins.directories import recognised

if TYPE_CHECKING:
    from neox_core.plugins import PluginManager


class ForeignSettings(NamedTuple):
    """What a checkpoint of another family says.

    Args:
        family: the converter's name.
        path: the checkpoint.
        values: settings, in our keys.
    """

    family: str
    path: Path
    values: Mapping[str, Any]


def foreign_settings(path: Path, plugins: PluginManager) -> ForeignSettings | None:
    """The settings of a directory that is a checkpoint of another family; None: it is none, or one of ours.

    Raises:
        UserError: it is one, and damaged, or says what settings cannot.
    """
    if not path.is_dir() or is_ours(path):
        return None
    found = recognised(path, plugins)
    if found is None:
        return None
    name, family = found
    checkpoint = family.open(path, {})
    return ForeignSettings(name, checkpoint.path, checkpoint.settings)


def is_ours(path: Path) -> bool:
    """Whether a directory is a checkpoint or a run of neox, or holds checkpoints of it."""
    places = (path, newest(path))
    ours = any((place / name).is_file() for place in places for name in (MANIFEST, RUN_SETTINGS))
    return ours or any(path.glob(f"global_step*/{MANIFEST}"))
