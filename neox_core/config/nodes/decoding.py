"""From what a text says to nodes: names are looked up where they are allowed, and every argument knows its line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from neox_core.config.nodes.allowed import SETTINGS, SETTINGS_CLASS, Allowed, Refused
from neox_core.config.nodes.annotations import below
from neox_core.config.nodes.document import Item, Member
from neox_core.config.nodes.markers import (
    ARGS,
    CALL,
    FLOAT,
    HINTS,
    ITEMS,
    KNOWN,
    NODE,
    PARTIAL,
    PATH,
    SEQUENCES,
    TARGET,
    TEXT,
    VALUES,
    is_marker,
)
from neox_core.config.nodes.node import Config, Node, Partial
from neox_core.config.nodes.places import origins_of
from neox_core.config.nodes.plain_values import meant_by_list, meant_by_text
from neox_core.config.nodes.problems import NodeError, no_such_parameter
from neox_core.config.nodes.steps import Step
from neox_core.config.nodes.targets import NO_TARGET, Target
from neox_core.errors import Origin, Problem, SettingsError, did_you_mean

_Annotations = Iterable[Any]


def decoded(root: Item, allowed: Allowed, *, settings: bool = False) -> Any:
    """The value that a document stands for, which shares nothing with any other.

    Args:
        root: what a text says.
        allowed: which names are imported.
        settings: whether a mapping without markers is the settings of a run, a `Config(NeoXArgs)`.

    Raises:
        SettingsError: names that are not allowed or not there, markers that are none or take something else; all of them.
    """
    decoding = _Decoding(root, allowed)
    if settings and isinstance(root.value, dict) and not any(map(is_marker, root.value)):
        found = decoding.node(root, SETTINGS, Config, [], root.value)
    else:
        found = decoding.of(root, [])
    decoding.hold_nameless()
    if decoding.problems:
        raise SettingsError(decoding.problems)
    return found


class _Decoding:
    """What was made so far, by the identity of what it was made of, and what was wrong."""

    def __init__(self, root: Item, allowed: Allowed) -> None:
        self.allowed = allowed
        self.problems: list[Problem] = []
        self.uses: Counter[int] = Counter()
        self._count(root)
        self.made: dict[tuple[int, type], Any] = {}
        self.nameless: list[tuple[Node[Any], Origin]] = []

    def _count(self, item: Item) -> None:
        self.uses[id(item)] += 1
        if self.uses[id(item)] == 1:
            for inner in item.children():
                self._count(inner)

    def of(self, item: Item, annotations: _Annotations) -> Any:
        """The value of an item where annotations say what a plain list and plain text are."""
        if isinstance(item.value, dict):
            return self._mapping(item, annotations)
        if isinstance(item.value, list):
            return self._sequence(item, meant_by_list(annotations), annotations)
        return _text(item.value, meant_by_text(annotations)) if isinstance(item.value, str) else item.value

    def _refuse(self, message: str, origin: Origin, remedy: str | None = None) -> None:
        self.problems.append(Problem(message=message, origin=origin, remedy=remedy))

    # Lists and mappings

    def _sequence(self, item: Item, kind: type, annotations: _Annotations) -> Any:
        key = (id(item), kind)
        if key not in self.made:
            inner = self._of_place(item, annotations)
            items = [self.of(part, below(inner, kind, index)) for index, part in enumerate(item.value)]
            try:
                self.made[key] = kind(items)
            except TypeError:
                self._refuse(
                    "a list or a mapping cannot be in a set", item.origin, "write tuples, as {_tuple_: [1, 2]}"
                )
                self.made[key] = kind()
        return self.made[key]

    def _of_place(self, item: Item, annotations: _Annotations) -> _Annotations:
        """The annotations that hold within a list or mapping: none where it is used twice, since those might differ."""
        return [] if self.uses[id(item)] > 1 else annotations

    def _mapping(self, item: Item, annotations: _Annotations) -> Any:
        key = (id(item), dict)
        if key not in self.made:
            markers = [name for name in item.value if is_marker(name)]
            if not markers:
                self.made[key] = self._plain(item, self._of_place(item, annotations))
            elif not self._fit(item, markers):
                self.made[key] = None
            elif any(name in NODE for name in markers):
                self.made[key] = self._node(item)
            else:
                self.made[key] = self._marked(item, markers[0], annotations)
        return self.made[key]

    def _plain(self, item: Item, annotations: _Annotations) -> dict[Any, Any]:
        return {key: self.of(member.item, below(annotations, dict, key)) for key, member in item.value.items()}

    def _fit(self, item: Item, markers: Sequence[str]) -> bool:
        """Whether all names with underscores are known, and may stand together."""
        unknown = [name for name in markers if name not in KNOWN]
        for name in unknown:
            hint = HINTS.get(name) or f"{did_you_mean(name, KNOWN)} A key like that is written {ITEMS}: [[{name}, ...]]"
            self._refuse(f"'{name}' is not known", item.value[name].origin, hint)
        if any(name in NODE for name in markers):
            first, foreign = TARGET, [name for name in markers if name in VALUES and name != ITEMS]
        else:
            first, foreign = markers[0], [key for key in item.value if key != markers[0]]
        for key in foreign if not unknown else ():
            self._refuse(f"'{key}' cannot stand beside '{first}'", item.value[key].origin, "remove one")
        return not (unknown or foreign)

    # Values with a marker

    def _marked(self, item: Item, marker: str, annotations: _Annotations) -> Any:
        value, origin = item.value[marker]
        if marker in SEQUENCES:
            if isinstance(value.value, list):
                return self._sequence(value, SEQUENCES[marker], self._of_place(item, annotations))
            return self._refuse(f"{marker} takes a list", origin)
        if marker == ITEMS:
            inner = self._of_place(item, annotations)
            return self._items(value, lambda key: below(inner, dict, key))
        if marker in (PATH, TEXT) and isinstance(value.value, str):
            return Path(value.value) if marker == PATH else value.value
        if marker == FLOAT and value.value in ("nan", "inf", "-inf"):
            return float(value.value)
        return self._refuse(f"{marker} takes {'nan, inf or -inf' if marker == FLOAT else 'text'}", origin)

    def _items(self, item: Item, annotations: Callable[[Any], _Annotations]) -> dict[Any, Any]:
        """The mapping that a list of pairs stands for, of which the annotations of each key are given."""
        found: dict[Any, Any] = {}
        for pair in item.value if isinstance(item.value, list) else [item]:
            if not (isinstance(pair.value, list) and len(pair.value) == 2):
                self._refuse(f"{ITEMS} takes a list of keys with their values, as [[key, value], ...]", pair.origin)
                continue
            key = self.of(pair.value[0], [])
            try:
                hash(key)
            except TypeError:
                self._refuse("a list or a mapping cannot be a key", pair.origin, "write {_tuple_: [1, 2]}")
                continue
            if key in found:
                self._refuse(f"the key {key!r} is given twice", pair.origin, "remove one")
            found[key] = self.of(pair.value[1], annotations(key))
        return found

    # Nodes

    def _node(self, item: Item) -> Any:
        called, partial = self._truth(item, CALL, True), self._truth(item, PARTIAL, False)
        if TARGET not in item.value:
            if CALL in item.value:
                return self._refuse(f"{CALL} needs a {TARGET}", item.value[CALL].origin)
            name = None
        else:
            name = item.value[TARGET].item.value
            if not isinstance(name, str):
                return self._refuse(f"{TARGET} takes a dotted name, as my.package.Model", item.value[TARGET].origin)
        if not called:
            others = [key for key in item.value if key not in (TARGET, CALL)]
            for key in others:
                self._refuse(f"'{key}' cannot stand beside '{CALL}: false'", item.value[key].origin, "remove one")
            return None if others else self._found(str(name), item.value[TARGET].origin)
        named = {key: member for key, member in item.value.items() if not is_marker(key)}
        return self.node(item, name, Partial if partial else Config, self._arguments(item), named)

    def _truth(self, item: Item, marker: str, default: bool) -> bool:
        if marker not in item.value:
            return default
        value, origin = item.value[marker]
        if not isinstance(value.value, bool):
            self._refuse(f"{marker} is true or false, not {value.value!r}", origin)
            return default
        return value.value

    def _arguments(self, item: Item) -> list[Item]:
        if ARGS not in item.value:
            return []
        value, origin = item.value[ARGS]
        if isinstance(value.value, list):
            return value.value
        self._refuse(f"{ARGS} takes a list", origin)
        return []

    def _found(self, name: str, origin: Origin) -> Any:
        try:
            return self.allowed.find(name)
        except Refused as error:
            return self._refuse(str(error), origin)

    def node(
        self, item: Item, name: str | None, kind: type[Node[Any]], args: list[Item], named: dict[Any, Member]
    ) -> Node[Any] | None:
        """The node with the target of this name, or with none."""
        origin = item.value[TARGET].origin if TARGET in item.value else item.origin
        target = NO_TARGET if name is None else self._target(name, origin)
        if target is None:
            return None
        if target is not NO_TARGET and target.name == SETTINGS_CLASS:
            named = self._with_underscores(named)
        values = {
            key: self.of(member.item, [target.annotation(key)])
            for key, member in named.items()
            if self._takes(target, key, member.origin)
        }
        if ITEMS in item.value:
            further, place = item.value[ITEMS]
            items = self._items(further, lambda key: [target.annotation(key)])
            values |= {key: value for key, value in items.items() if self._takes(target, key, place)}
        names = _names(target, len(args))
        by_position = [self.of(arg, [target.annotation(name)]) for arg, name in zip(args, names, strict=True)]
        try:
            node = kind(target, *by_position, **values)
        except NodeError as error:
            self._refuse(str(error), origin)
            return None
        if name is None:
            self.nameless.append((node, origin))
        object.__setattr__(node, "_made", (origin.source, origin.line or 1))
        node._origins.update(origins_of(zip(names, args, strict=True), named))
        return node

    def hold_nameless(self) -> None:
        """Refuse nodes without a name that took a class from where they are which is not allowed."""
        for node, origin in self.nameless:
            if node._target is not NO_TARGET:
                try:
                    self.allowed.hold(node._target.object)
                except Refused as error:
                    self._refuse(str(error), origin)

    def _target(self, name: str, origin: Origin) -> Target | None:
        found = self._found(name, origin)
        if found is None:
            return None
        if not callable(found) or isinstance(found, Enum):
            self._refuse(f"'{name}' cannot be called", origin, f"write {CALL}: false beside it")
            return None
        return Target.of(found)

    def _takes(self, target: Target, key: Any, origin: Origin) -> bool:
        """Whether a key is the name of an argument."""
        if not isinstance(key, str):
            self._refuse(f"{key!r} is no name of an argument", origin, "put it into quotes")
        elif target is not NO_TARGET and not target.parameters.takes(key):
            self._refuse(no_such_parameter(target, key, target.parameters.by_name), origin)
        else:
            return True
        return False

    def _with_underscores(self, named: dict[Any, Member]) -> dict[Any, Member]:
        """The keys of settings, which may be written with hyphens."""
        found: dict[Any, Member] = {}
        for key, member in named.items():
            name = str(key).replace("-", "_")
            if name in found:
                self._refuse(f"'{name}' is given twice, first in {found[name].origin}", member.origin, "remove one")
            found[name] = member
        return found


def _names(target: Target, count: int) -> list[str]:
    """The names of so many arguments by position, `[0]` and so on for those that have none."""
    names = [] if target is NO_TARGET else target.parameters.positional[:count]
    return [*names, *(str(Step(number, item=True)) for number in range(count - len(names)))]


def _text(text: str, meant: type) -> Any:
    if meant is Path:
        return Path(text)
    return meant.__members__.get(text, text) if issubclass(meant, Enum) else text
