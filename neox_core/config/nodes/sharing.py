"""What is used more than once, in JSON and TOML: it has a number, `_id_: 1`, and is `{_same_: 1}` everywhere else."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from neox_core.config.nodes.document import TOO_DEEP, Item, Member, refuse
from neox_core.config.nodes.markers import ID, LIST, SAME
from neox_core.config.yaml_text import DEEPEST, MOST_REPEATED


def numbered(root: Any) -> Any:
    """Plain data in which every list and mapping is there once, and `_same_` where it is used again."""
    uses: Counter[int] = Counter()
    _count(root, uses)
    numbers: dict[int, int] = {}
    count = itertools.count(1)

    def written(value: Any) -> Any:
        if not isinstance(value, dict | list):
            return value
        key = id(value)
        if key in numbers:
            return {SAME: numbers[key]}
        head: dict[str, Any] = {}
        if uses[key] > 1:
            head[ID] = numbers[key] = next(count)
        if isinstance(value, dict):
            return {**head, **{name: written(item) for name, item in value.items()}}
        items = [written(item) for item in value]
        return {**head, LIST: items} if head else items

    return written(root)


def _count(value: Any, uses: Counter[int]) -> None:
    if not isinstance(value, dict | list):
        return
    uses[id(value)] += 1
    if uses[id(value)] == 1:
        for item in value.values() if isinstance(value, dict) else value:
            _count(item, uses)


def joined(root: Item) -> Item:
    """A document in which what `_same_` stands for is there itself, once for all its places. Changes `root`.

    Raises:
        SettingsError: a number that is there twice or not at all, something that holds itself or is repeated beyond measure.
    """
    by_number: dict[int, Item] = {}
    found = list(_containers(root, set()))
    for item in found:
        _take_number(item, by_number)
    if not by_number and not any(_is_reference(item) for item in found):
        return root
    for item in found:
        if isinstance(item.value, dict):
            item.value = {
                key: Member(_real(member.item, by_number), member.origin) for key, member in item.value.items()
            }
        else:
            item.value = [_real(inner, by_number) for inner in item.value]
    root = _real(root, by_number)
    _Measure(len(found)).of(root, 1)
    return root


def _containers(item: Item, met: set[int]) -> list[Item]:
    """The lists and mappings of a document, each once."""
    if id(item) in met or not isinstance(item.value, dict | list):
        return []
    met.add(id(item))
    return [item, *(found for inner in item.children() for found in _containers(inner, met))]


def _take_number(item: Item, by_number: dict[int, Item]) -> None:
    """Note the number of an item, and take it away; a list that has one becomes a plain list."""
    if not isinstance(item.value, dict) or ID not in item.value:
        return
    number, origin = item.value.pop(ID)
    if type(number.value) is not int:
        refuse(f"{ID} takes a whole number, not {number.value!r}", origin)
    if number.value in by_number:
        refuse(f"{ID}: {number.value} is there twice", origin, "number each in its own way")
    by_number[number.value] = item
    if list(item.value) == [LIST] and isinstance(item.value[LIST].item.value, list):
        item.value = item.value[LIST].item.value


def _is_reference(item: Item) -> bool:
    return isinstance(item.value, dict) and SAME in item.value


def _real(item: Item, by_number: dict[int, Item]) -> Item:
    """The item that is meant."""
    if not _is_reference(item):
        return item
    number, origin = item.value[SAME]
    if len(item.value) > 1:
        refuse(f"beside {SAME} there is nothing", origin, "change what it stands for")
    found = by_number.get(number.value) if type(number.value) is int else None
    if found is None or _is_reference(found):
        refuse(
            f"{SAME}: {number.value!r} stands for nothing", origin, f"there is no '{ID}: {number.value!r}' in this file"
        )
    return found


class _Measure:
    """How many values a document stands for, and how deep it is."""

    def __init__(self, written: int) -> None:
        self.most = MOST_REPEATED + written
        self.known: dict[int, tuple[int, int]] = {}
        self.begun: set[int] = set()

    def of(self, item: Item, level: int) -> tuple[int, int]:
        """Values and levels in an item, itself too."""
        if id(item) in self.begun:
            refuse("this holds itself", item.origin, f"write the value itself, not '{SAME}'")
        if id(item) not in self.known:
            self.begun.add(id(item))
            self._refuse_depth(item, level)
            extents = [self.of(inner, level + 1) for inner in item.children()]
            self.known[id(item)] = (
                1 + sum(size for size, _ in extents),
                1 + max((deep for _, deep in extents), default=0),
            )
            self.begun.discard(id(item))
        size, deep = self.known[id(item)]
        self._refuse_depth(item, level + deep - 1)
        if size > self.most:
            refuse(
                f"'{SAME}' stands for more than {MOST_REPEATED} values", item.origin, "write the values that are meant"
            )
        return size, deep

    def _refuse_depth(self, item: Item, level: int) -> None:
        if level > DEEPEST:
            refuse(TOO_DEEP, item.origin, "write less within each other")
