"""What is known about one key: its owner, type, default, range, meaning, and whose key it is."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from neox_core.config.settings import Changes, FromCheckpoint, KeyOrigin, Settings

REQUIRED: Any = ...
"""The default of a key that must be given."""


class Key(NamedTuple):
    """One key of the flat configuration, as its group declares it; the arguments are those of `setting`.

    Args:
        name: its name, with underscores.
        group: the group that owns it.
        provider: the distribution with its version that brings the group, or `neox_core`.
    """

    name: str
    group: type[Settings]
    provider: str
    default: Any
    description: str
    from_checkpoint: FromCheckpoint
    origin: KeyOrigin
    changes: Changes
    unused: str | None
    pending: bool | Literal["refused"]
    asks: str | None
    aliases: tuple[str, ...]

    @classmethod
    def of(cls, group: type[Settings], name: str, provider: str) -> Key:
        """The key `name` of `group`. Keys declared by pydantic's own `Field` have the defaults of `setting`."""
        field = group.model_fields[name]
        facts = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        given: dict[str, Any] = {"from_checkpoint": "keep", "origin": "neox", "changes": "numerics", "unused": None}
        given |= {"pending": False, "asks": None, "aliases": ()} | facts
        return cls(
            name=name,
            group=group,
            provider=provider,
            default=REQUIRED if field.is_required() else field.get_default(call_default_factory=True),
            description=field.description or "",
            from_checkpoint=given["from_checkpoint"],
            origin=given["origin"],
            changes=given["changes"],
            unused=given["unused"],
            pending=given["pending"],
            asks=given["asks"],
            aliases=tuple(given["aliases"]),
        )

    def is_default(self, value: Any) -> bool:
        """Whether a value says what the default does: an empty list or mapping is as good as none."""
        return value == self.default or (self.default is None and value in ([], {}))


DECLARED = frozenset(Key._fields) - {"name", "group", "provider", "default", "description"}
"""What `setting` says of a key beside what pydantic knows."""
