"""Overrides of settings on the command line: `key=value`, `key.sub.key*=value`, `~key`, `key=@file.yml:section`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_core.config.entry import Entry
from neox_core.config.plain import copied
from neox_core.errors import Origin, Problem, SettingsError, UserError, shortened

if TYPE_CHECKING:
    from neox_core.config.nodes.given import Given

MAX_NORM = "optimizer.params.max_grad_norm"
"""Where earlier files have gradient_clipping."""

MOVED = {MAX_NORM: "gradient_clipping"}
"""Parts of mappings, as earlier files have them, and the keys that they are today."""

SHORT = {"lr": "optimizer.params.lr"}
"""Names that a command line may have for parts of mappings."""


class Override(NamedTuple):
    """One override.

    Args:
        key: the key, spelt with underscores.
        path: the keys and indices within its value that lead to what changes; none for the whole value.
        value: what is set there, or what the operator takes.
        text: as it was written.
        sign: `=`, an operator such as `*=`, or `~` for taking away what was given.
    """

    key: str
    path: tuple[str | int, ...]
    value: Any
    text: str
    sign: str = "="

    @classmethod
    def parse(cls, text: str) -> Override:
        """The override that a word of the command line is.

        Raises:
            UserError: it has no form that an override has, its value is not YAML or not in the file, or its path is too long.
        """
        from neox_core.config.nodes.words import LONGEST, Word
        from neox_core.config.yaml_text import DEEPEST

        if "=" not in text[1:] and not text.startswith("~"):
            raise UserError(f"'{text}': neither a file nor an override; an override is written key=value")
        word = Word.parse(text)
        path = ".".join(str(step.key) for step in word.steps)
        moved = MOVED.get(path) or SHORT.get(path)
        key, *inner = moved.split(".") if moved else [step.key for step in word.steps]
        if len(inner) > DEEPEST:
            raise UserError(f"'{shortened(text, LONGEST)}': leads through more than {DEEPEST} mappings; shorten it")
        return cls(str(key).replace("-", "_"), tuple(inner), _plain(word.given), text, word.sign)

    @property
    def origin(self) -> Origin:
        """The command line."""
        return Origin(source=f"command line ({self.text})")

    def apply(self, entries: dict[str, Entry]) -> None:
        """Change the given keys in place; what else is in a mapping stays, with its origin.

        Raises:
            SettingsError: it goes into a value that is no mapping and no list, or there is nothing that it could change.
        """
        before = entries.get(self.key)
        if self.sign == "~":
            self._take_away(entries, before)
            return
        if self.sign != "=":
            before = before or self._default()
        entries.pop(self.key, None)  # the order of the entries says which came last
        if not self.path or before is None:
            value = self._in({} if before is None else before.value, self.path)
            inner = {_dotted(self.path): self.origin} if self.path else {}
            of_default = before is not None and before.of_default and self.sign != "="
            entries[self.key] = Entry(self.key, value, self.origin, inner, overrides=True, of_default=of_default)
            return
        path = _dotted(self.path)
        stays = {known: place for known, place in before.inner.items() if not f"{known}.".startswith(f"{path}.")}
        value = self._in(before.value, self.path)
        entries[self.key] = replace(before, value=value, inner={**stays, path: self.origin}, overrides=True)

    def _take_away(self, entries: dict[str, Entry], before: Entry | None) -> None:
        if before is None:
            raise self._refused("is not given, so there is nothing to take away", f"leave {self.text} out")
        if not self.path:
            del entries[self.key]
            return
        value = copied(before.value)
        holder = value
        try:
            for step in self.path[:-1]:
                holder = holder[step]
            del holder[self.path[-1]]
        except (KeyError, IndexError, TypeError):
            raise self._refused(f"has no {_dotted(self.path)}, so there is nothing to take away") from None
        entries[self.key] = replace(before, value=value)

    def _default(self) -> Entry | None:
        """The default of a key of the core, which an operator changes where the key is not given."""
        from neox_core.config.keys import REQUIRED
        from neox_core.config.ownership import Ownership

        known = Ownership.of(None).keys.get(self.key)
        if known is None or known.default is REQUIRED:
            return None
        return Entry(self.key, copied(known.default), Origin(source="default"), of_default=True)

    def _in(self, outer: Any, path: Sequence[str | int]) -> Any:
        """`outer` with what this sets at a path within it."""
        if not path:
            return self.value if self.sign == "=" else self._combined(outer)
        step, *rest = path
        if isinstance(outer, list) and isinstance(step, int) and -len(outer) <= step < len(outer):
            return [self._in(item, rest) if i == step % len(outer) else item for i, item in enumerate(outer)]
        if not isinstance(outer, dict):
            message = f"'{step}' cannot be set within {outer!r}, which is not a mapping"
            if isinstance(outer, list):
                message = f"[{step}] cannot be set in {outer!r}, which has {len(outer)} items"
            raise self._refused(message, f"{self.key}=VALUE sets the whole value")
        if isinstance(step, int):
            place = ".".join([self.key, *map(str, self.path[: -len(path)])])
            message = f"[{step}] cannot be set, as {place} is {'not given' if not outer else 'a mapping'}"
            raise self._refused(message, f"{place}=[...] sets the whole list")
        return {**outer, step: self._in(outer.get(step, {}), rest)}

    def _combined(self, old: Any) -> Any:
        from neox_core.config.nodes.operators import combined
        from neox_core.config.nodes.problems import NodeError

        if old in ({}, None) and self.sign != "|=":
            place = ".".join([self.key, *map(str, self.path)])
            raise self._refused(f"{self.sign} changes what is given, and {place} is not", f"write {place}=VALUE")
        try:
            return combined(self.sign, {} if old is None else old, self.value)
        except NodeError as error:
            raise self._refused(str(error)) from error

    def _refused(self, message: str, remedy: str | None = None) -> SettingsError:
        return SettingsError([Problem(keys=(self.key,), message=message, remedy=remedy, origin=self.origin)])


def _plain(given: Given) -> Any:
    """The value as YAML has it; what a file says."""
    from neox_core.config.nodes.given import Reference, Scalar

    if isinstance(given, Scalar):
        return given.value
    if isinstance(given, Reference):
        from neox_core.config.nodes.forms import load

        return load(given.name, (), settings=False)
    if isinstance(given, dict):
        return {key: _plain(value) for key, value in given.items()}
    return [_plain(item) for item in given]


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))
