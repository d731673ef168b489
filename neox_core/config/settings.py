"""The base of every settings group, and the declaration of one key.

Modules of settings do without `from __future__ import annotations`: pydantic would compile and evaluate the text of each
annotation, which took 3 % of all that `neox config check` does.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

FromCheckpoint = Literal["take", "match", "keep"]
"""What happens to a key when settings are taken from a checkpoint: its value is taken, must match, or mine is kept."""

KeyOrigin = Literal["neox", "gpt-neox", "megatron", "deepspeed", "deepspeed-launcher"]
"""Whose key it is: who defined the name and its meaning."""

Changes = Literal["numerics", "speed", "nothing"]
"""What differs between two runs that differ in a key: what they compute, how fast and in how much memory, or neither."""


class Settings(BaseModel):
    """A group of keys of the flat configuration; frozen once made, and no key beside the declared ones.

    A subclass names itself: `class RingSettings(Settings, group="ring")`. The class docstring describes the group, `setting`
    declares each key.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # most runs give keys of some groups only
    )

    group_name: ClassVar[str] = ""

    def __init_subclass__(cls, *, group: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.group_name = group or cls.group_name

    @classmethod
    def has_required_keys(cls) -> bool:
        """Whether some key must be given."""
        return any(field.is_required() for field in cls.model_fields.values())


def setting(
    default: Any,
    description: str,
    *,
    from_checkpoint: FromCheckpoint = "keep",
    origin: KeyOrigin = "neox",
    changes: Changes = "numerics",
    unused: str | None = None,
    pending: bool | Literal["refused"] = False,
    asks: str | None = None,
    aliases: tuple[str, ...] = (),
    **constraints: Any,
) -> Any:
    """Declare one key.

    Args:
        default: its value where it is not given; `...` when it must be.
        description: what it means, in a phrase, with units.
        from_checkpoint: what happens to it when settings are taken from a checkpoint.
        origin: whose key it is.
        changes: what differs between runs that differ in it.
        unused: why it has no effect, for a key that is accepted only so that files which have it go on working.
        pending: whether this version does not heed it yet. Another value than the default is then told where it would change
            speed or nothing, and refused by `neox train` where it would change numerics, or where this says "refused".
        asks: the feature (`neox_core.plugins.Feature`) that another value than the default asks of the run's sequence mixers: a
            run none of whose mixers supports it is refused.
        aliases: earlier spellings of the key, which are read with a notice.
        constraints: pydantic's (`gt`, `ge`, `le`, ...).
    """
    facts: dict[str, Any] = {
        "from_checkpoint": from_checkpoint,
        "origin": origin,
        "changes": changes,
        "unused": unused,
        "pending": pending,
        "asks": asks,
        "aliases": list(aliases),
    }
    return Field(default, description=description, json_schema_extra=facts, **constraints)
