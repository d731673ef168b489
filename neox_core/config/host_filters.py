"""Which hosts and slots of a pool take part: the settings `include` and `exclude`."""

from __future__ import annotations

from collections.abc import Mapping

from neox_core.errors import Problem, SettingsError, did_you_mean

Pool = Mapping[str, tuple[int, ...]]
"""Slot numbers of each host, in the order in which ranks are placed."""


def select(pool: Pool, *, include: str | None, exclude: str | None) -> Pool:
    """The part of `pool` that `include` names, or that `exclude` leaves; a host without slots drops out.

    Both are written `host[:slot,slot]@host[:slot,slot]`; a host without slots means all of it. The pool's order is kept.
    SettingsError: both are given, a host or slot is not in the pool, or nothing is left.
    """
    if include and exclude:
        message = f"{include!r} and {exclude!r} exclude each other; give one of them"
        raise SettingsError([Problem(keys=("include", "exclude"), message=message)])
    if include:
        named = _parse(include, "include", pool)
        return _kept({host: [slot for slot in slots if slot in named.get(host, ())] for host, slots in pool.items()})
    if exclude:
        named = _parse(exclude, "exclude", pool)
        left = _kept(
            {host: [slot for slot in slots if slot not in named.get(host, ())] for host, slots in pool.items()}
        )
        if not left:
            raise _refusal("exclude", f"{exclude!r} leaves no slot of {', '.join(pool)}; exclude less")
        return left
    return pool


def _kept(pool: Mapping[str, list[int]]) -> Pool:
    return {host: tuple(slots) for host, slots in pool.items() if slots}


def _parse(text: str, key: str, pool: Pool) -> dict[str, set[int]]:
    named: dict[str, set[int]] = {}
    for part in text.split("@"):
        host, colon, slots = part.strip().partition(":")
        if host not in pool:
            raise _refusal(key, f"{text!r} names the unknown host {host!r}; {did_you_mean(host, list(pool))}")
        chosen = {_slot(slot.strip(), host, key, pool) for slot in slots.split(",")} if colon else set(pool[host])
        named.setdefault(host, set()).update(chosen)
    return named


def _slot(text: str, host: str, key: str, pool: Pool) -> int:
    if text.isdecimal() and int(text) in pool[host]:
        return int(text)
    known = ", ".join(map(str, pool[host]))
    raise _refusal(key, f"{host} has no slot {text!r}, only {known}; write it as `{host}:SLOT,SLOT`")


def _refusal(key: str, message: str) -> SettingsError:
    return SettingsError([Problem(keys=(key,), message=message)])
