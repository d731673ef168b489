"""Parts of a run in NeMo's vocabulary: dataclasses, and what each of their fields means in the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from neox_core.config import Entry
from neox_core.errors import Origin


class Meaning(NamedTuple):
    """What a field means in the settings.

    Args:
        keys: the keys that it sets, with dots into mappings (`optimizer.params.lr`); none where the whole run heeds it.
        of: from the part to what is set; None: the field's value itself.
        words: how the value is changed, or heeded, for the documentation.
    """

    keys: tuple[str, ...] = ()
    of: Callable[[Any], Any] | None = None
    words: str = ""


class Said(NamedTuple):
    """One key as a part says it."""

    key: str
    value: Any
    origin: Origin


def same(*names: str) -> dict[str, Meaning]:
    """Fields that are named like the keys they set."""
    return {name: Meaning((name,)) for name in names}


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None, which is how a function says that it was not told."""
    return {name: value for name, value in values.items() if value is not None}


class Part:
    """A piece of a run. A subclass is a dataclass; a field is a part itself, or its meaning is in `meanings`.

    What it stands for in the settings is `said`; a field that comes to None says nothing.
    """

    meanings: ClassVar[Mapping[str, Meaning]] = {}

    @classmethod
    def __build_node__(cls, arguments: Mapping[str, Any], origins: Mapping[str, Origin]) -> Self:
        """Make a part that knows where its fields were written."""
        made = cls(**arguments)
        object.__setattr__(made, "_origins", dict(origins))
        return made

    def said(self) -> Iterator[Said]:
        """The keys that this part and those in it set."""
        for field in dataclasses.fields(self):  # type: ignore[arg-type] # every subclass is a dataclass
            value = getattr(self, field.name)
            if isinstance(value, Part):
                yield from value.said()
                continue
            meaning = self.meanings[field.name]
            value = value if meaning.of is None else meaning.of(self)
            if value is not None:
                yield from (Said(key, value, self.origin(field.name)) for key in meaning.keys)

    def origin(self, name: str) -> Origin:
        """Where a field was written; the class where it was not given."""
        given: Mapping[str, Origin] = getattr(self, "_origins", {})
        return given.get(name, Origin(source=f"{type(self).__qualname__}.{name}"))


def entries(said: Iterable[Said]) -> list[Entry]:
    """The keys, with those that have dots folded into mappings; of two that are the same the later counts."""
    found: dict[str, Entry] = {}
    for path, value, origin in said:
        key, *inner = path.split(".")
        if not inner:
            found[key] = Entry(key, value, origin)
            continue
        entry = found.setdefault(key, Entry(key, {}, origin))
        mapping = entry.value
        for name in inner[:-1]:
            mapping = mapping.setdefault(name, {})
        mapping[inner[-1]] = value
        found[key] = dataclasses.replace(entry, inner={**entry.inner, ".".join(inner): origin})
    return list(found.values())
