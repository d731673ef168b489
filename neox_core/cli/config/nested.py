"""What is known about places within the mappings of some keys: `optimizer.params.lr`, `zero_optimization.stage`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neox_core.cli.config.subject import Subject
from neox_core.cli.config.values import inline
from neox_core.config.deepspeed_names import DEEPSPEED_NAMES, GPT_NEOX_NAMES
from neox_core.config.keys import Key
from neox_core.config.validation import type_in_words
from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import PluginManager

ABSENT = object()


def nested_lines(key: Key, path: Sequence[str], subject: Subject | None) -> list[tuple[str, str]]:
    """Value, origin, and what is known about the place.

    Raises:
        UserError: the mapping has a known set of names, and this is none of them.
    """
    lines = _value(key, path, subject) if subject else []
    names = DEEPSPEED_NAMES.get(key.name)
    if names is not None:
        also = GPT_NEOX_NAMES.get(key.name, frozenset())
        if path[0] not in names | also:
            known = sorted(names | also)
            raise UserError(f"{key.name} has no option {path[0]!r}; {did_you_mean(path[0], known)}")
        return [*lines, ("known to", "DeepSpeed" if path[0] in names else "GPT-NeoX; it is not handed on")]
    if key.name == "optimizer" and path[0] == "params" and len(path) == 2:
        return [*lines, *_option(path[1], subject)]
    return lines


def _value(key: Key, path: Sequence[str], subject: Subject) -> list[tuple[str, str]]:
    entry = next((entry for entry in subject.args.entries if entry.key == key.name), None)
    value = within(entry.value, path) if entry else ABSENT
    if entry is None or value is ABSENT:
        lines = [("value", "not given")]
    else:
        lines = [("value", inline(value)), ("set in", str(entry.inner.get(".".join(path), entry.origin)))]
    result = _outcome(key.name, path, subject)
    return lines if result is ABSENT or result == value else [*lines, ("comes to", inline(result))]


def _outcome(name: str, path: Sequence[str], subject: Subject) -> Any:
    if subject.resolved is None:
        return ABSENT
    if name == "optimizer":
        optimizer = subject.resolved.optimizer
        return within({"type": optimizer.name, "params": {**optimizer.params, "lr": optimizer.lr}}, path)
    return within(subject.resolved.deepspeed.get(name), path)


def _option(name: str, subject: Subject | None) -> list[tuple[str, str]]:
    """What the chosen optimizer says of one of its options."""
    if subject is None or subject.resolved is None:
        return [("see", "`neox plugins show OPTIMIZER` for the options of each optimizer")]
    optimizer, plugins = subject.resolved.optimizer.name, subject.plugins
    model = _options(optimizer, plugins)
    if model is None:
        return []
    if name not in model.model_fields:
        raise UserError(f"{optimizer} has no option {name!r}; {did_you_mean(name, list(model.model_fields))}")
    field = model.model_fields[name]
    return [
        ("option of", f"optimizer {optimizer}: {field.description or ''}"),
        ("takes", type_in_words(field.annotation)),
        ("default", "must be given" if field.is_required() else inline_default(field.default)),
    ]


def _options(optimizer: str, plugins: PluginManager) -> Any:
    offer = plugins.find("optimizer", optimizer)
    return plugins.load(offer, offer.component.params) if offer.component.params else None


def inline_default(value: Any) -> str:
    """A default as YAML; of a tuple, as a list."""
    return inline(list(value) if isinstance(value, tuple) else value)


def within(value: Any, path: Sequence[str]) -> Any:
    """What is at a path of nested mappings; `ABSENT` where nothing is."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value
