"""What a name in a configuration file may be: a key, an earlier name of one, something computed, or a place within a mapping."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.older import OLDER
from neox_core.config.overrides import MOVED
from neox_core.config.ownership import Ownership
from neox_core.config.translation import is_singular
from neox_core.config.validation import nearest_key
from neox_core.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a name is.

    Args:
        name: as it is spelt today.
        summary: what it is, in a line.
        key: the key that it is, or is within; None for what is no key.
        path: where it is within the key's mapping; empty for the key itself.
        lines: labels and texts to tell first.
    """

    name: str
    summary: str
    key: str | None = None
    path: tuple[str, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()


def find_known(name: str, ownership: Ownership) -> Known:
    """What `name` is.

    Raises:
        UserError: nobody knows it; says the nearest name, and which plugin that is not in use has it.
    """
    first, *path = name.split(".")
    plain = first.replace("-", "_")
    whole = ".".join([plain, *path])
    if whole in MOVED and (today := _today(whole, "means {}", MOVED[whole], ownership)):
        return today
    if path:
        key = ownership.aliases.get(plain, plain)
        if key in ownership.keys:
            summary = f"within {key}: {ownership.keys[key].description}"
            return Known(name=".".join([key, *path]), summary=summary, key=key, path=tuple(path))
    elif known := _plain(plain, ownership):
        return known
    message, remedy = nearest_key(plain, ownership)
    raise UserError(f"{name}: {message}; {remedy}")


def _plain(name: str, ownership: Ownership) -> Known | None:
    """A key, or a name that stands for one; else a name that is none."""
    if name in ownership.keys:
        earlier = ", ".join(earlier_names(name, ownership))
        lines = (("earlier names", earlier),) if earlier else ()
        return Known(name=name, summary=ownership.keys[name].description, key=name, lines=lines)
    if name in ownership.aliases:
        return _today(name, "is called {} today", ownership.aliases[name], ownership)
    if key := singular_names(ownership).get(name):
        return _today(name, "is a list with one path, {}", key, ownership)
    return _no_key(name)


def _today(name: str, phrase: str, key: str, ownership: Ownership) -> Known | None:
    today = _plain(key, ownership)
    return today and replace(today, lines=((name, phrase.format(key)), *today.lines))


def _no_key(name: str) -> Known | None:
    if name in DERIVED:
        return Known(name=name, summary=DERIVED[name].description, lines=(("computed from", DERIVED[name].source),))
    if name in OLDER:
        return Known(
            name=name, summary="a key of earlier versions of GPT-NeoX", lines=(("today", OLDER[name].meaning),)
        )
    if name in RUNTIME:
        return Known(name=name, summary="kept by GPT-NeoX among its settings while it runs; in a file it has no effect")
    return None


def earlier_names(name: str, ownership: Ownership) -> list[str]:
    """Names under which a key was known, or in whose place it stands today."""
    renamed = {**ownership.aliases, **singular_names(ownership), **MOVED}
    found = [earlier for earlier, key in renamed.items() if key == name]
    return found + [older.name for older in OLDER.values() if name in older.keys]


def singular_names(ownership: Ownership) -> dict[str, str]:
    """Names that stand for a list with one path, each with the key that takes the list."""
    names = {key.removesuffix("s"): key for key in ownership.keys}
    return {name: key for name, key in names.items() if is_singular(name, ownership)}
