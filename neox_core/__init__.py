"""neox: a small core for training large autoregressive language models, and plugins for everything that varies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.cli.commands import command as command
    from neox_core.config.args import NeoXArgs as NeoXArgs
    from neox_core.config.nodes import (
        Config as Config,
        Partial as Partial,
        Script as Script,
        autoconvert as autoconvert,
        build as build,
        from_yaml as from_yaml,
        to_yaml as to_yaml,
    )
    from neox_core.config.recipes import recipe as recipe
    from neox_core.config.settings import Settings as Settings
    from neox_core.training.start import train as train
    from neox_core.training.trains import trains as trains

_WHERE = {
    "cli.commands": ("command",),
    "config": ("NeoXArgs", "Settings"),
    "config.nodes": ("Config", "Partial", "Script", "autoconvert", "build", "from_yaml", "to_yaml"),
    "config.recipes": ("recipe",),
    "training.start": ("train",),
    "training.trains": ("trains",),
}
__getattr__ = lazy_names(__name__, _WHERE)
