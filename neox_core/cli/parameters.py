"""What the target of a node takes, for the terminal."""

from __future__ import annotations

from typing import Any

from neox_core.config.nodes import Node
from neox_core.config.nodes.comparing import explicit
from neox_core.config.type_words import type_in_words


def parameter_rows(node: Node[Any]) -> list[list[str]]:
    """A row for each parameter of the target: name, type, and what is set, the default, or that it is required."""
    given, required = explicit(node), node._parameters.required
    rows = []
    for name, parameter in node._parameters.by_name.items():
        annotation = node._target.annotation(name)
        value = given[name] if name in given else parameter.value()
        shown = str(value._target) if isinstance(value, Node) else repr(value)
        missing = name in required and name not in given
        rows.append([name, "" if annotation is None else type_in_words(annotation), "required" if missing else shown])
    return rows
