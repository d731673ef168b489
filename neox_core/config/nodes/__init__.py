"""Nodes: a tree of `Config` and `Partial` says how objects are made, and can be read, changed, compared and built.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.nodes.building import build as build
    from neox_core.config.nodes.comparing import diff as diff
    from neox_core.config.nodes.drawing import draw as draw
    from neox_core.config.nodes.explaining import explain as explain
    from neox_core.config.nodes.node import Config as Config, Node as Node, Partial as Partial
    from neox_core.config.nodes.optional import (
        OptionalDefaultConfig as OptionalDefaultConfig,
        OptionalDefaultPartial as OptionalDefaultPartial,
    )
    from neox_core.config.nodes.paths import (
        get_value as get_value,
        set_value as set_value,
        unset_value as unset_value,
    )
    from neox_core.config.nodes.problems import (
        NodeError as NodeError,
        NoSuchParameter as NoSuchParameter,
        NotSet as NotSet,
        WrongArguments as WrongArguments,
    )
    from neox_core.config.nodes.types import from_dict as from_dict, validate as validate
    from neox_core.config.nodes.walking import (
        broadcast as broadcast,
        nodes as nodes,
        select as select,
        walk as walk,
    )

_WHERE = {
    "building": ("build",),
    "comparing": ("diff",),
    "drawing": ("draw",),
    "explaining": ("explain",),
    "node": ("Config", "Node", "Partial"),
    "optional": ("OptionalDefaultConfig", "OptionalDefaultPartial"),
    "paths": ("get_value", "set_value", "unset_value"),
    "problems": ("NoSuchParameter", "NodeError", "NotSet", "WrongArguments"),
    "types": ("from_dict", "validate"),
    "walking": ("broadcast", "nodes", "select", "walk"),
}
__getattr__ = lazy_names(__name__, _WHERE)
