"""What a tree of nodes holds that can be changed."""

from __future__ import annotations

from typing import Any

from neox_core.config.nodes import Node
from neox_core.config.nodes.tree import children


def held(value: Any, met: dict[int, Any] | None = None) -> dict[int, Any]:
    """The nodes, lists, mappings and sets of a tree, by their ids."""
    met = {} if met is None else met
    if id(value) not in met:
        if isinstance(value, Node | list | dict | set):
            met[id(value)] = value
        for _, item in children(value):
            held(item, met)
    return met
