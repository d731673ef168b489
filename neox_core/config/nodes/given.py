"""Values as the words of a command line have them: read as YAML, with their texts, and never evaluated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from neox_core.config.nodes.problems import NodeError

if TYPE_CHECKING:
    import yaml

    from neox_core.config.yaml_text import Loader


class Scalar(NamedTuple):
    """Text, a number, true, false or null."""

    value: Any
    """As YAML has it."""
    text: str
    """As it was written, without quotes."""
    quoted: bool = False
    """Whether it was written so that it cannot be anything but text."""


class Reference(NamedTuple):
    """What is in a file."""

    name: str
    """The file, with a section or without: `file.yml:model`."""


Given: TypeAlias = "Scalar | Reference | list[Given] | dict[Any, Given]"
"""A value as it was written; what it means depends on where it is set."""

_CALL = re.compile(r"\s*[A-Za-z_][\w.-]*\s*\(.*\)\s*", re.DOTALL)


def read(text: str) -> Given:
    """What a text is: `@file.yml:section` a reference, `name(...)` text, all else YAML.

    Raises:
        NodeError: it is not YAML, or no file is named.
    """
    if text == "@":
        raise NodeError("no file is named after @; write @file.yml, or @file.yml:section")
    if text.startswith("@"):
        return Reference(text[1:])
    if _CALL.fullmatch(text):
        return Scalar(text, text)
    from neox_core.config.yaml_errors import Fault
    from neox_core.config.yaml_text import load

    try:
        return load(text, _root)
    except Fault as fault:
        raise NodeError(f"in the value: {fault.message}; {fault.remedy}") from fault


def _root(loader: Loader) -> Given:
    node = loader.get_single_node()
    if node is None:
        return Scalar(None, "")
    loader.construct_document(node)  # refuses what is no value
    return _given(loader, node)


def _given(loader: Loader, node: yaml.Node) -> Given:
    if node.tag.endswith(":seq"):
        return [_given(loader, item) for item in node.value]
    if node.tag.endswith(":map"):
        return {loader.construct_object(key, deep=True): _given(loader, value) for key, value in node.value}
    return Scalar(loader.construct_object(node), node.value, quoted=getattr(node, "style", None) is not None)
