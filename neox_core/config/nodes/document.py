"""What a text says, before it is nodes: values that know where they were written, from YAML (and JSON) and from TOML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import yaml

from neox_core.config.loading import pair_origin
from neox_core.config.plain import joined_halves
from neox_core.config.yaml_errors import Fault, Refused
from neox_core.config.yaml_text import DEEPEST, Loader, load
from neox_core.errors import Origin, Problem, SettingsError


class Item:
    """A value: text, a number, true, false, null, a list of items, or a mapping of keys to members.

    What is used in several places is one object.
    """

    __slots__ = ("origin", "value")

    def __init__(self, value: Any, origin: Origin) -> None:
        self.value, self.origin = value, origin

    def children(self) -> list[Item]:
        """The items that it holds."""
        if isinstance(self.value, dict):
            return [member.item for member in self.value.values()]
        return self.value if isinstance(self.value, list) else []


class Member(NamedTuple):
    """What a mapping has under a key."""

    item: Item
    origin: Origin
    """Where the key was written."""


def refuse(message: str, origin: Origin, remedy: str | None = None) -> NoReturn:
    """Raise the error of one mistake in a text."""
    raise SettingsError([Problem(message=message, origin=origin, remedy=remedy)])


# YAML


def from_yaml(text: str, source: str) -> Item:
    """The value of a text in YAML; an empty mapping for an empty one.

    Raises:
        SettingsError: it is no YAML, or not such as settings are made of.
    """
    lines = text.splitlines()
    try:
        return load(text, lambda loader: _FromYaml(loader, lines, source).root())
    except Fault as fault:
        raise SettingsError([fault.problem(lines, source)]) from fault


class _FromYaml:
    def __init__(self, loader: Loader, lines: Sequence[str], source: str) -> None:
        self.loader, self.lines, self.source = loader, lines, source
        self.known: dict[yaml.Node, Item] = {}

    def root(self) -> Item:
        node = self.loader.get_single_node()
        return Item({}, Origin(source=self.source)) if node is None else self.item(node)

    def item(self, node: yaml.Node) -> Item:
        if node not in self.known:
            self.known[node] = Item(self._value(node), self._origin(node))
        return self.known[node]

    def _value(self, node: yaml.Node) -> Any:
        if node.tag not in _TAGS:
            return self._plain(node)  # or what is refused
        if isinstance(node, yaml.SequenceNode):
            return [self.item(value) for value in node.value]
        if isinstance(node, yaml.MappingNode):
            self.loader.flatten_mapping(node)
            return {self._key(key): Member(self.item(value), self._pair(key, value)) for key, value in node.value}
        raise Refused("a list or mapping is told, and there is none", node.start_mark, "leave out the tag")

    def _key(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise Refused("a list or a mapping cannot be a key", node.start_mark, "write a word before the colon")
        return self._plain(node)

    def _plain(self, node: yaml.Node) -> Any:
        value = self.loader.construct_object(node, deep=True)
        try:
            return joined_halves(value) if isinstance(value, str) else value
        except UnicodeDecodeError as error:
            raise Refused("this text has half of a character", node.start_mark, "write the whole character") from error

    def _origin(self, node: yaml.Node) -> Origin:
        line, column = node.start_mark.line, node.start_mark.column
        text = self.lines[line] if line < len(self.lines) else ""
        return Origin(source=self.source, line=line + 1, text=text, key_start=column, key_end=len(text.rstrip()))

    def _pair(self, key: yaml.Node, value: yaml.Node) -> Origin:
        return pair_origin(key, value, self.lines, self.source)


_TAGS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


# TOML


def from_toml(text: str, source: str) -> Item:
    """The value of a text in TOML.

    Raises:
        SettingsError: it is no TOML, holds dates, or is nested too deeply.
    """
    import tomllib  # which few need

    text = text.replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        message = f"not valid TOML: {str(error).removesuffix(found[0]) if found else error}"
        refuse(message, Origin(source=source, line=line), "text stands in quotes, and each key in a line of its own")
    except RecursionError:
        refuse(TOO_DEEP, Origin(source=source))
    return _FromToml(text, source).item(values, (), 1)


TOO_DEEP = f"lists and mappings are nested more than {DEEPEST} deep"

_Keys = tuple[str | int, ...]


class _FromToml:
    def __init__(self, text: str, source: str) -> None:
        self.source, self.texts = source, text.splitlines()
        self.lines: dict[_Keys, int] = {}
        for keys, line in _lines(text):
            for length in range(1, len(keys) + 1):
                self.lines.setdefault(keys[:length], line)

    def item(self, value: Any, keys: _Keys, line: int) -> Item:
        line = self.lines.get(keys, line)
        text = self.texts[line - 1] if line <= len(self.texts) else ""
        origin = Origin(source=self.source, line=line, text=text, key_start=0, key_end=len(text.rstrip()))
        if len(keys) > DEEPEST:
            refuse(TOO_DEEP, origin)
        if isinstance(value, dict):
            items = {key: self.item(inner, (*keys, key), line) for key, inner in value.items()}
            return Item({key: Member(item, item.origin) for key, item in items.items()}, origin)
        if isinstance(value, list):
            return Item([self.item(inner, (*keys, index), line) for index, inner in enumerate(value)], origin)
        if not isinstance(value, str | bool | int | float):
            refuse(f"{value} is a date or time, which nothing here takes", origin, "put it into quotes")
        return Item(value, origin)


def _lines(text: str) -> Iterator[tuple[_Keys, int]]:
    """The line on which each key begins that has one of its own. What is within brackets is where they begin."""
    table: _Keys = ()
    arrays: dict[_Keys, int] = {}
    for line, values, is_header in _statements(text):
        keys, value = _only_key(values)
        if not is_header:
            yield _within(table, keys, arrays), line
            continue
        table = _within((), keys, arrays)
        if isinstance(value, list):
            arrays[table] = arrays.get(table, -1) + 1
            table = (*table, arrays[table])
        yield table, line


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """What stands in a text that is known to be TOML, piece by piece: the first line, and what it would be alone."""
    import tomllib

    begin, piece = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        begin, piece = (begin, f"{piece}\n{line}") if piece else (number, line)
        try:
            values = tomllib.loads(piece)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        if values:
            yield begin, values, piece.lstrip().startswith("[")
        piece = ""


def _only_key(values: dict[str, Any]) -> tuple[list[str], Any]:
    """The dotted key of a piece, as far as there is one key alone, and what it has."""
    keys: list[str] = []
    value: Any = values
    while isinstance(value, dict) and len(value) == 1:
        ((key, value),) = value.items()
        keys.append(key)
    return keys, value


def _within(table: _Keys, keys: Sequence[str], arrays: dict[_Keys, int]) -> _Keys:
    """The place of a key in the text: of a list of tables, the last one so far is meant."""
    found = table
    for number, key in enumerate(keys):
        found = (*found, key)
        if found in arrays and number < len(keys) - 1:
            found = (*found, arrays[found])
    return found
