"""neox: a small core for training large autoregressive language models, and plugins for everything that varies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs as NeoXArgs
    from neox_core.config.settings import Settings as Settings

__getattr__ = lazy_names(__name__, {"config": ("NeoXArgs", "Settings")})
