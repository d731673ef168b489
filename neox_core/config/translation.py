"""Today's names and forms for what was given: older keys, singular paths, values that another key says.

What is only renamed is an alias that the key itself declares; `older` lists the keys that need more. Nothing is dropped without
a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neox_core.config.compatibility import reproduces
from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.entry import Entry, compat_of, given_twice
from neox_core.config.fitting import fitted
from neox_core.config.older import OLDER
from neox_core.config.overrides import MAX_NORM
from neox_core.config.ownership import Ownership
from neox_core.config.plain import shown
from neox_core.errors import Notice, Problem


@dataclass(slots=True)
class Translation:
    """Given keys in today's names and forms, and what is to be said about those that were not."""

    entries: dict[str, Entry] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def put(self, entry: Entry) -> None:
        """Add an entry; a second one for a key is a problem that names both places, unless one of them overrides the other."""
        first = self.entries.get(entry.key)
        if first is None:
            self.entries[entry.key] = entry
        elif entry.overrides:
            del self.entries[entry.key]  # the order says which came last
            self.entries[entry.key] = _laid_over(first, entry)
        elif not first.overrides:
            self.problems.append(given_twice(first, entry))

    def fit(self, ownership: Ownership) -> None:
        """Give each value the form that its key takes, where it means that."""
        for key, entry in self.entries.items():
            if owners := ownership.by_key.get(key):
                value = fitted(entry.value, owners[0].group.model_fields[key].annotation)
                self.entries[key] = entry if value is entry.value else replace(entry, value=value)

    def notice(self, entry: Entry, message: str) -> None:
        """Say something about a key that was given."""
        self.notices.append(Notice(keys=(entry.key,), message=message, origin=entry.origin))

    def refuse(self, entry: Entry, message: str, remedy: str) -> None:
        """Explain a key that cannot be read."""
        self.problems.append(Problem(keys=(entry.key,), message=message, remedy=remedy, origin=entry.origin))


def translate(entries: Iterable[Entry], ownership: Ownership) -> Translation:
    """Today's entries for the given ones, in order."""
    given: dict[str, Entry] = {}
    for entry in entries:
        given.pop(entry.key, None)  # the order says which came last
        given[entry.key] = entry
    translation = Translation()
    for entry in given.values():
        if entry.key in ownership.by_key:
            translation.put(entry)
        elif entry.key in ownership.aliases:
            name = ownership.aliases[entry.key]
            translation.notice(entry, f"is called {name} today")
            translation.put(replace(entry, key=name, former=entry.key))
        elif entry.key in DERIVED and entry.overrides:
            translation.refuse(entry, f"is computed from {DERIVED[entry.key].source}", "set those")
        elif entry.key in DERIVED:
            translation.notice(entry, f"is computed from {DERIVED[entry.key].source}; the value given is not used")
        elif entry.key in RUNTIME:
            translation.notice(entry, "has no effect: a running program keeps it, not a file")
        elif entry.key in OLDER:
            OLDER[entry.key].translate(entry, given, translation)
        elif is_singular(entry.key, ownership):
            _translate_singular(entry, translation)
        else:
            translation.put(entry)
    translation.fit(ownership)
    _translate_extra(translation, ownership)
    _translate_optimizer(translation)
    _translate_precision(translation)
    _translate_fp16(translation)
    translation.fit(ownership)
    return translation


def is_spelling(key: str, ownership: Ownership) -> bool:
    """Whether a name is a key, or an earlier form of one."""
    return key in ownership.by_key or key in ownership.aliases or key in OLDER or is_singular(key, ownership)


def is_singular(key: str, ownership: Ownership) -> bool:
    """Whether a name is the form with one path of a key with a list of paths."""
    return key.endswith("_data_path") and f"{key}s" in ownership.by_key


def _translate_singular(entry: Entry, translation: Translation) -> None:
    key, many = f"{entry.key}s", entry.value is None or isinstance(entry.value, list)
    translation.notice(entry, f"is called {key} today" if many else f"is {key} with one path")
    value = entry.value if many else [entry.value]
    translation.put(replace(entry, key=key, value=value, former=entry.key))


def _laid_over(first: Entry, entry: Entry) -> Entry:
    """An overriding entry; where it says a part of a mapping (`bfloat16.enabled=true`), the rest is as in the first one."""
    if not entry.inner or not isinstance(first.value, dict):
        return entry
    value = first.value
    for path in (path for path, origin in entry.inner.items() if origin.line is None):  # those of files are older
        value = _with_part(value, path.split("."), entry.value)
    return replace(entry, value=value, inner={**first.inner, **entry.inner})


def _with_part(whole: Any, path: Sequence[str], source: Any) -> Any:
    """A mapping with what the source has at a path, or as far along it as it goes."""
    if not path or not isinstance(source, dict) or path[0] not in source:
        return source
    name, *rest = path
    inner = whole if isinstance(whole, dict) else {}
    return {**inner, name: _with_part(inner.get(name), rest, source[name])}


def _translate_extra(translation: Translation, ownership: Ownership) -> None:
    """What `deepspeed_extra_args` says too, GPT-NeoX takes from there."""
    entry = translation.entries.get("deepspeed_extra_args")
    if (
        entry is None
        or not isinstance(entry.value, dict)
        or not reproduces(compat_of(translation.entries.values()), "extra-args-win")
    ):
        return
    moved = {key for key in entry.value if key in ownership.keys and ownership.keys[key].origin == "deepspeed"}
    for key in [key for key in entry.value if key in moved]:
        place = entry.inner.get(key, entry.origin)
        translation.notices.append(
            Notice(
                keys=("deepspeed_extra_args",), message=f"{key} is taken from here, whatever else says it", origin=place
            )
        )
        translation.entries[key] = Entry(key, entry.value[key], place)
    rest = {key: value for key, value in entry.value.items() if key not in moved}
    translation.entries["deepspeed_extra_args"] = replace(entry, value=rest)


# The optimizer's options

_ODD_NUMBER = re.compile(r"\d+(\.\d*)?[eE]_\d+")


def _translate_optimizer(translation: Translation) -> None:
    """`max_grad_norm` among the options is gradient_clipping; `1.0e_8` is a number."""
    entry = translation.entries.get("optimizer")
    params = entry.value.get("params") if entry is not None and isinstance(entry.value, dict) else None
    if entry is None or not isinstance(params, dict):
        return
    params = {name: _number(entry, name, value, translation) for name, value in params.items()}
    if "max_grad_norm" in params:
        _translate_norm(entry, params.pop("max_grad_norm"), translation)
    translation.entries["optimizer"] = replace(entry, value={**entry.value, "params": params})


def _translate_norm(entry: Entry, norm: Any, translation: Translation) -> None:
    """Make the norm gradient_clipping; where both are given, what overrides wins, of two that do the later one."""
    origin = entry.inner.get("params.max_grad_norm", entry.origin)
    overrides = entry.overrides and origin.line is None  # it may have been another option that an override set
    found = Entry("gradient_clipping", norm, origin, former=MAX_NORM, overrides=overrides)
    clipping = translation.entries.get("gradient_clipping")
    order = list(translation.entries)
    later = clipping is not None and order.index("optimizer") > order.index("gradient_clipping")
    if clipping is None or (overrides and (later or not clipping.overrides)):
        translation.put(found)
        message = f"params.max_grad_norm: {norm} is gradient_clipping"
        translation.notices.append(Notice(keys=("optimizer",), message=message, origin=origin))
    elif clipping.overrides:
        message = f"params.max_grad_norm: {norm} gives way to gradient_clipping: {clipping.value}"
        translation.notices.append(Notice(keys=("optimizer",), message=message, origin=origin))
    elif clipping.value != norm:
        message = f"{shown(clipping.value)} in {clipping.origin}, but {MAX_NORM} is {shown(norm)} in {origin}"
        problem = Problem(
            keys=("gradient_clipping", "optimizer"),
            message=message,
            remedy="keep one of them",
            origin=clipping.origin,
            others=(origin,),
        )
        translation.problems.append(problem)


def _number(entry: Entry, name: str, value: Any, translation: Translation) -> Any:
    if not isinstance(value, str) or not _ODD_NUMBER.fullmatch(value):
        return value
    number = float(value.replace("_", "-"))
    origin = entry.inner.get(f"params.{name}", entry.origin)
    message = f"params.{name}: {shown(value)} is read as {number}"
    translation.notices.append(Notice(keys=("optimizer",), message=message, origin=origin))
    return number


def _translate_fp16(translation: Translation) -> None:
    """An fp16 dictionary with `type: bfloat16` asks for bfloat16, which GPT-NeoX forgets."""
    entry = translation.entries.get("fp16")
    asked = entry is not None and isinstance(entry.value, dict) and entry.value.get("type") == "bfloat16"
    if entry is None or not asked or reproduces(compat_of(translation.entries.values()), "fp16-type-ignored"):
        return
    translation.notice(entry, "type: bfloat16 is read as precision: bfloat16")
    del translation.entries["fp16"]
    if entry.value.get("enabled") is False:
        return
    precision = translation.entries.get("precision")
    if precision is None or precision.value is None:
        translation.entries["precision"] = replace(entry, key="precision", value="bfloat16", inner={})
    elif precision.value in ("fp32", "fp16"):
        problem = Problem(
            keys=("precision", "fp16"),
            message=f"{precision.value} and bf16, which fp16's type: bfloat16 in {entry.origin} means, are both asked for",
            remedy="keep one",
            origin=precision.origin,
            others=(entry.origin,),
        )
        translation.problems.append(problem)


def _translate_precision(translation: Translation) -> None:
    """A misspelt `precision` is fp32 to GPT-NeoX."""
    entry = translation.entries.get("precision")
    if entry is None or not reproduces(compat_of(translation.entries.values()), "precision-typo"):
        return
    if isinstance(entry.value, str) and entry.value not in ("fp32", "fp16", "bfloat16"):
        translation.notice(
            entry, f"{shown(entry.value)} is fp32, as compat: {compat_of(translation.entries.values())} wants"
        )
        translation.entries["precision"] = replace(entry, value="fp32")
