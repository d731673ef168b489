"""Where arguments were written: the lines of a document, by the names that nodes keep them under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from neox_core.config.nodes.document import Item, Member
from neox_core.config.nodes.markers import SEQUENCES, is_marker
from neox_core.config.nodes.steps import Step
from neox_core.errors import Origin


def origins_of(by_position: Iterable[tuple[str, Item]], named: Mapping[Any, Member]) -> Iterator[tuple[str, Origin]]:
    """The place of each argument, and of what is in its lists and mappings where that begins in another line.

    Args:
        by_position: arguments without a name, with the names that they are bound to.
        named: the others.

    Returns:
        Names, as in `layers` and `layers[0]`, and places.
    """
    members = [*((name, Member(item, item.origin)) for name, item in by_position), *named.items()]
    for name, member in members:
        yield name, member.origin
        yield from _within(member, name)


def _within(holder: Member, name: str) -> Iterator[tuple[str, Origin]]:
    for key, member in _members(holder.item):
        inner = name + str(Step(key, item=True))
        if member.origin.line != holder.origin.line:
            yield inner, member.origin
        yield from _within(member, inner)


def _members(item: Item) -> list[tuple[Any, Member]]:
    """What a list or mapping holds, by index or key; nothing for a node, which knows that itself."""
    value = item.value
    if isinstance(value, dict):
        marker = next(filter(is_marker, value), None)
        if marker is None:
            return list(value.items())
        return _members(value[marker].item) if marker in SEQUENCES else []
    return (
        [(index, Member(inner, inner.origin)) for index, inner in enumerate(value)] if isinstance(value, list) else []
    )
