"""The base of every settings group, and the declaration of one key."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

FromCheckpoint = Literal["take", "match", "keep"]
"""What happens to a key when settings are taken from a checkpoint: its value is taken, must match, or mine is kept."""

KeyOrigin = Literal["neox", "gpt-neox", "megatron", "deepspeed", "deepspeed-launcher"]
"""Whose key it is: who defined the name and its meaning."""


class Settings(BaseModel):
    """A group of keys of the flat configuration; frozen once made, and no key beside the declared ones.

    A subclass names itself: `class RingSettings(Settings, group="ring")`. The class docstring describes the group, `setting`
    declares each key.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False, protected_namespaces=()
    )

    group_name: ClassVar[str] = ""

    def __init_subclass__(cls, *, group: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.group_name = group or cls.group_name


def setting(
    default: Any,
    description: str,
    *,
    from_checkpoint: FromCheckpoint = "keep",
    origin: KeyOrigin = "neox",
    **constraints: Any,
) -> Any:
    """Declare one key: default (`...` when there is none), description, and pydantic's constraints (`gt`, `ge`, `le`, ...)."""
    extra: dict[str, Any] = {"from_checkpoint": from_checkpoint, "origin": origin}
    return Field(default, description=description, json_schema_extra=extra, **constraints)
