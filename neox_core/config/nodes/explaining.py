"""Where a value of a tree of nodes was set, and what it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.node import Node, origin_of
from neox_core.config.nodes.parameters import MISSING
from neox_core.config.nodes.paths import get_value, owner_of
from neox_core.config.nodes.steps import parse
from neox_core.errors import Origin


class Explanation(NamedTuple):
    """What is known of a value; as text, for reading."""

    path: str
    """Within the tree; "" for the root."""
    value: Any
    """What is there."""
    origin: Origin | None
    """Where it was set: a file and line, an override; None: nowhere, so that it is the default."""
    target: str | None
    """What has the parameter; None for what is in no node."""
    parameter: str | None
    """The parameter, with its annotation and default: `hidden: int = 4096`."""

    def __str__(self) -> str:
        set_by = f"set at {self.origin}" if self.origin else "not set: this is the default"
        lines = [f"{self.path or '<root>'} = {self.value!r}", f"  {set_by}"]
        return "\n".join([*lines, f"  {self.target} takes {self.parameter}"] if self.parameter else lines)


def explain(root: Any, path: str = "") -> Explanation:
    """Where the value at a path was set, and what it is.

    Raises:
        NodeError: the path leads nowhere.
    """
    value = get_value(root, path)
    owner, name = owner_of(root, parse(path))
    if owner is None:
        made_at = origin_of(value, "") if isinstance(value, Node) else None
        return Explanation(path, value, made_at, None, None)
    argument = name.partition("[")[0]
    origin = origin_of(owner, name) if not argument or argument in explicit(owner) else None
    return Explanation(path, value, origin, str(owner._target), _parameter(owner, argument))


def _parameter(node: Node[Any], name: str) -> str | None:
    """A parameter as a signature has it; None where there is none."""
    parameter = node._parameters.by_name.get(name)
    if parameter is None:
        return None
    annotation = node._target.annotation(name)
    words = f"{name}: {_words(annotation)}" if annotation is not None else name
    default = node._default(name)
    return words if default is MISSING else f"{words} = {default!r}"


def _words(annotation: Any) -> str:
    """An annotation as it is written."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
