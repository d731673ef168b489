"""Values and keys in words, for all the verbs and the reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from neox_core.config import NeoXArgs, Settings, allowed
from neox_core.config.keys import REQUIRED, Key
from neox_core.config.ownership import CORE
from neox_core.config.yaml_text import inline_yaml

OWN = "neox-toolkit"
"""The distribution of neox itself, with its own plugins."""

WHOSE = {
    "neox": "neox",
    "gpt-neox": "GPT-NeoX",
    "megatron": "Megatron",
    "deepspeed": "DeepSpeed's configuration",
    "deepspeed-launcher": "DeepSpeed's launcher",
}
"""Whose key it is, by `Key.origin`."""

CHANGES = {
    "numerics": "numerics: what is computed",
    "speed": "speed or memory only",
    "nothing": "nothing that is computed",
}
"""What differs between runs that differ in a key, by `Key.changes`."""

FROM_CHECKPOINT = {
    "take": "its value is taken from there",
    "match": "it must be the same there",
    "keep": "your value is kept",
}
"""What happens when settings are taken from a checkpoint, by `Key.from_checkpoint`."""


def inline(value: object) -> str:
    """A value as YAML on one line, as neox reads and writes it."""
    text = inline_yaml(value)
    return text if "\n" not in text else json.dumps(value, ensure_ascii=False)  # which is YAML too


def shortened(value: object, width: int = 60) -> str:
    """A value as YAML on one line, cut where it is long."""
    text = inline(value)
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def default_of(key: Key) -> str:
    """A key's default as YAML, or that it must be given."""
    return "must be given" if key.default is REQUIRED else inline(key.default)


def takes(key: Key) -> str:
    """Type and range in words."""
    return allowed(key.group, key.name)


def whose(key: Key) -> str:
    """Whose key it is; one that a third party's plugin adds is that plugin's."""
    distribution = key.provider.partition(" ")[0]
    added = key.origin == "neox" and distribution not in (CORE, OWN)
    return distribution if added else WHOSE[key.origin]


def heeded(key: Key) -> str | None:
    """That a key has no effect, or none yet; None where it has."""
    if key.unused is not None:
        return f"has no effect: {key.unused}"
    return "is not heeded by this version yet" if key.pending else None


def about(group: type[Settings]) -> str:
    """What a group is, in a line."""
    return " ".join((group.__doc__ or "").strip().partition("\n\n")[0].split())


def provider(key: Key) -> str:
    """The distribution that brings a key, without version."""
    name = key.provider.partition(" ")[0]
    return "the core" if name == CORE else name


def all_values(args: NeoXArgs) -> dict[str, Any]:
    """Every key with its value, defaults included, in the order of the groups."""
    return {key: getattr(group, key) for group in args.groups.values() for key in type(group).model_fields}


def inner(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A value, or the values within a mapping, each with its dotted path."""
    if not isinstance(value, Mapping) or not value:
        yield path, value
        return
    for name, item in value.items():
        yield from inner(item, f"{path}.{name}")
