"""Nodes: a tree of `Config` and `Partial` says how objects are made, and can be read, changed, compared and built.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.nodes.autoconverting import autoconvert as autoconvert, lazy as lazy, now as now
    from neox_core.config.nodes.building import build as build
    from neox_core.config.nodes.comparing import diff as diff
    from neox_core.config.nodes.drawing import draw as draw
    from neox_core.config.nodes.edits import Edit as Edit
    from neox_core.config.nodes.explaining import explain as explain
    from neox_core.config.nodes.forms import dump as dump, load as load
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
    from neox_core.config.nodes.reading import from_json as from_json, from_toml as from_toml, from_yaml as from_yaml
    from neox_core.config.nodes.script import Script as Script
    from neox_core.config.nodes.tree import nodes as nodes
    from neox_core.config.nodes.types import from_dict as from_dict, validate as validate
    from neox_core.config.nodes.walking import broadcast as broadcast, select as select, walk as walk
    from neox_core.config.nodes.writing import to_json as to_json, to_toml as to_toml, to_yaml as to_yaml

_WHERE = {
    "autoconverting": ("autoconvert", "lazy", "now"),
    "building": ("build",),
    "comparing": ("diff",),
    "drawing": ("draw",),
    "edits": ("Edit",),
    "explaining": ("explain",),
    "forms": ("dump", "load"),
    "node": ("Config", "Node", "Partial"),
    "optional": ("OptionalDefaultConfig", "OptionalDefaultPartial"),
    "paths": ("get_value", "set_value", "unset_value"),
    "problems": ("NoSuchParameter", "NodeError", "NotSet", "WrongArguments"),
    "reading": ("from_json", "from_toml", "from_yaml"),
    "script": ("Script",),
    "tree": ("nodes",),
    "types": ("from_dict", "validate"),
    "walking": ("broadcast", "select", "walk"),
    "writing": ("to_json", "to_toml", "to_yaml"),
}
__getattr__ = lazy_names(__name__, _WHERE)
