"""What is known about places within the mappings of some keys: `optimizer.params.lr`, `zero_optimization.stage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neox_core.cli.config.look import Look
from neox_core.cli.config.outcomes import ABSENT, option_model, outcome, with_defaults, within
from neox_core.cli.config.values import inline, takes
from neox_core.config.deepspeed_names import NAMES_OF_GPT_NEOX
from neox_core.config.deepspeed_options import DEEPSPEED_OPTIONS, Options
from neox_core.config.keys import Key
from neox_core.config.type_words import type_in_words
from neox_core.errors import UserError, did_you_mean

PARTS = {"optimizer": ("type", "params")}
"""What is in mappings of ours that have a form."""


def nested_lines(key: Key, path: Sequence[str], look: Look | None) -> list[tuple[str, str]]:
    """Value, origin, and what is known about the place.

    Raises:
        UserError: the mapping has a known set of names, and this is none of them.
    """
    refuse_impossible(key, path)
    lines = _value(key, path, look) if look else []
    if key.name in DEEPSPEED_OPTIONS:
        names, also = set(DEEPSPEED_OPTIONS[key.name].types), NAMES_OF_GPT_NEOX.get(key.name, frozenset())
        if path[0] not in names | also:
            known = sorted(names | also)
            raise UserError(f"{key.name} has no option {path[0]!r}; {did_you_mean(path[0], known)}")
        if path[0] not in names:
            return [*lines, ("known to", "GPT-NeoX; it is not handed on")]
        return [*lines, ("known to", "DeepSpeed"), *_of_deepspeed(key, path)]
    if key.name == "optimizer" and path[0] == "params" and len(path) == 2:
        return [*lines, *_option(path[1], look)]
    return lines


def _of_deepspeed(key: Key, path: Sequence[str]) -> list[tuple[str, str]]:
    """What DeepSpeed takes at a place.

    Raises:
        UserError: there is no such place.
    """
    kind: Any = DEEPSPEED_OPTIONS[key.name]
    for depth, name in enumerate(path):
        place = ".".join([key.name, *path[:depth]])
        if not isinstance(kind, Options):
            raise UserError(f"{place} takes {type_in_words(kind)}, which has no parts")
        if name not in kind.types:
            raise UserError(f"{place} has no option {name!r}; {did_you_mean(name, sorted(kind.types))}")
        kind = kind.types[name]
    return [
        (
            "takes",
            f"a mapping with {', '.join(sorted(kind.types))}" if isinstance(kind, Options) else type_in_words(kind),
        )
    ]


def refuse_impossible(key: Key, path: Sequence[str]) -> None:
    """Let nothing be looked for where nothing can be.

    Raises:
        UserError: the key is no mapping, or has no such part.
    """
    if "a mapping" not in takes(key) and "anything" not in takes(key):
        raise UserError(f"{key.name}.{'.'.join(path)}: {key.name} is {takes(key)}, which has no parts")
    parts = PARTS.get(key.name)
    if parts is not None and path[0] not in parts:
        raise UserError(f"{key.name} has no part {path[0]!r}; {did_you_mean(path[0], parts)}")
    if path[0] == "type" and parts and len(path) > 1:
        raise UserError(f"{key.name}.type is a name, which has no parts")


def _value(key: Key, path: Sequence[str], look: Look) -> list[tuple[str, str]]:
    entry = look.entries.get(key.name)
    value = within(entry.value, path) if entry else ABSENT
    if entry is None or value is ABSENT:
        lines = [("value", "not given")]
    else:
        lines = [("value", inline(value)), ("set in", str(entry.inner.get(".".join(path), entry.origin)))]
    if look.resolved is None:
        return [*lines, ("comes to", look.unknown)]
    result = outcome(".".join([key.name, *path]), value, look.resolved, look.plugins)
    return lines if result is ABSENT or result == value else [*lines, ("comes to", inline(result))]


def _option(name: str, look: Look | None) -> list[tuple[str, str]]:
    """What the chosen optimizer says of one of its options."""
    if look is None or look.resolved is None:
        return [("see", "`neox plugins show OPTIMIZER` for the options of each optimizer")]
    optimizer, params = look.resolved.optimizer.name, look.resolved.optimizer.params
    model = option_model(optimizer, look.plugins)
    if model is None:
        return []
    if name not in model.model_fields:
        raise UserError(f"{optimizer} has no option {name!r}; {did_you_mean(name, list(model.model_fields))}")
    field = model.model_fields[name]
    defaults = with_defaults(model, {option: value for option, value in params.items() if option != name})
    return [
        ("option of", f"optimizer {optimizer}: {field.description or ''}"),
        ("takes", type_in_words(field.annotation)),
        ("default", inline(defaults[name]) if name in defaults else "must be given"),
    ]
