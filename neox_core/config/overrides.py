"""Overrides of the command line: `key=value`, and `key.sub.key=value` for a part of a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from neox_core.config.entry import Entry
from neox_core.errors import Origin, Problem, SettingsError, UserError

MAX_NORM = "optimizer.params.max_grad_norm"
"""Where earlier files have gradient_clipping."""

MOVED = {MAX_NORM: "gradient_clipping"}
"""Parts of mappings, as earlier files have them, and the keys that they are today."""


class Override(NamedTuple):
    """One override.

    Args:
        key: the key, spelt with underscores.
        path: the keys within its mapping that lead to what is set; none for the whole value.
        value: what is set there.
        text: as it was written.
    """

    key: str
    path: tuple[str, ...]
    value: Any
    text: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """The override that a word of the command line is.

        Raises:
            UserError: it has no `=`, its value is not YAML, or its path is too long.
        """
        from neox_core.config.yaml_errors import Fault
        from neox_core.config.yaml_text import DEEPEST, Loader, load

        path, separator, value_text = text.partition("=")
        if not separator or not path:
            raise UserError(f"'{text}': neither a file nor an override; an override is written key=value")
        try:
            value = load(value_text, Loader.get_single_data)
        except Fault as fault:
            raise UserError(f"'{_shown(text)}': in the value: {fault.message}; {fault.remedy}") from fault
        key, *inner = MOVED.get(path, path).split(".")
        if len(inner) > DEEPEST:
            raise UserError(f"'{_shown(text)}': leads through more than {DEEPEST} mappings; shorten it")
        return cls(key.replace("-", "_"), tuple(inner), value, text)

    @property
    def origin(self) -> Origin:
        """The command line."""
        return Origin(source=f"command line ({self.text})")

    @property
    def entry(self) -> Entry:
        """The key as if nothing else were given."""
        inner = {".".join(self.path): self.origin} if self.path else {}
        return Entry(self.key, _set({}, self.path, self), self.origin, inner, overrides=True)

    def apply(self, entries: dict[str, Entry]) -> None:
        """Set this in place; what was there of a mapping stays beside it, with its origin.

        Raises:
            SettingsError: it goes into a value that is not a mapping.
        """
        entry, before = self.entry, entries.pop(self.key, None)  # the order of the entries says which came last
        if self.path and before is not None:
            path = ".".join(self.path)
            stays = {known: place for known, place in before.inner.items() if not f"{known}.".startswith(f"{path}.")}
            value, inner = _set(before.value, self.path, self), {**stays, path: self.origin}
            entry = replace(before, value=value, inner=inner, overrides=True)
        entries[self.key] = entry


def _set(outer: Any, path: Sequence[str], override: Override) -> Any:
    """`outer` with the override's value at a path within it."""
    if not path:
        return override.value
    if not isinstance(outer, dict):
        message = f"'{path[0]}' cannot be set within {outer!r}, which is not a mapping"
        remedy = f"{override.key}=VALUE sets the whole value"
        raise SettingsError([Problem(keys=(override.key,), message=message, remedy=remedy, origin=override.origin)])
    return {**outer, path[0]: _set(outer.get(path[0], {}), path[1:], override)}


def _shown(text: str) -> str:
    """A word of the command line, cut where it is long."""
    return text if len(text) <= 200 else f"{text[:200]}..."
