"""YAML as settings are read from it and written in it: PyYAML's safe loader and dumper, with YAML 1.2's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from typing import Any, TypeVar

import yaml

from neox_core.config.yaml_errors import Mark, Refused, as_pair, find_fault
from neox_core.errors import shortened

DEEPEST = 50
"""Levels of lists and mappings within each other; nothing that is meant has more than a few."""

MOST_REPEATED = 100_000
"""Values that aliases may stand for, all together; a few lines of aliases of aliases can stand for billions."""

_INT = re.compile(r"^[-+]?\d+$|^0o[0-7]+$|^0x[0-9a-fA-F]+$")
_FLOAT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")
_BOOL_TAG, _INT_TAG, _FLOAT_TAG, _NULL, _TIMESTAMP, _MERGE, _VALUE = (
    f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "timestamp", "merge", "value")
)
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "str", "seq", "map")}

T = TypeVar("T")
Pair = tuple[yaml.Node, yaml.Node]


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's numbers, without dates, silent duplicates and more than anybody writes.

    `1e-5` is a number, `010` is ten, `1:30` and `1_000` are text. Booleans stay those of YAML 1.1 (`yes` and `off` too), because
    files for GPT-NeoX were written for it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = self._repeated = 0
        self._extents: dict[yaml.Node, tuple[int, int]] = {}  # values in a node, itself too, and levels
        self._flattened: set[yaml.Node] = set()

    def pairs(self) -> list[Pair]:
        """The keys and values of the file, with those that `<<` brings; none of an empty one.

        Raises:
            yaml.YAMLError: it is no mapping in YAML.
        """
        root = self.get_single_node()
        if root is None or root.tag == _NULL:
            return []
        if not isinstance(root, yaml.MappingNode):
            listed = isinstance(root, yaml.SequenceNode)
            found, meant = ("a list", "key: value") if listed else ("plain text", as_pair(str(root.value)))
            raise Refused(f"a file is lines `key: value`, and this is {found}", root.start_mark, f"write `{meant}`")
        own = [pair for pair in root.value if pair[0].tag != _MERGE]
        super().flatten_mapping(root)
        known = {_plain(key) for key, _ in own}
        merged = {_plain(key): (key, value) for key, value in root.value[: -len(own) or None]}
        return [pair for name, pair in merged.items() if name not in known] + own

    # How much there is

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node, of which neither depth nor repetition is beyond measure."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._level += 1
        self._refuse_depth(self._level, event.start_mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is not None and isinstance(event, yaml.AliasEvent):
            self._count_repeated(node, event)
        elif node is not None:
            parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
            extents = [self._extents[part] for part in parts] if not isinstance(node, yaml.ScalarNode) else []
            self._extents[node] = (
                1 + sum(size for size, _ in extents),
                1 + max((deep for _, deep in extents), default=0),
            )
        return node

    def _count_repeated(self, node: yaml.Node, alias: yaml.AliasEvent) -> None:
        if node not in self._extents:
            raise Refused(f"'*{alias.anchor}' is within what it stands for", alias.start_mark, "write the value itself")
        size, deep = self._extents[node]
        self._repeated += size
        self._refuse_depth(self._level + deep, alias.start_mark)
        if self._repeated > MOST_REPEATED:
            message = f"aliases up to '*{alias.anchor}' stand for more than {MOST_REPEATED} values"
            raise Refused(message, alias.start_mark, "write the values that are meant")

    def _refuse_depth(self, level: int, mark: Mark | None) -> None:
        if level > DEEPEST:
            message = f"lists and mappings are nested more than {DEEPEST} deep"
            raise Refused(message, mark, "close those that are complete")

    # From nodes to values

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put in what `<<` brings, once, and refuse keys that are there twice before that."""
        if node not in self._flattened:
            self._flattened.add(node)
            self._refuse_repeated(node)
            super().flatten_mapping(node)

    def _refuse_repeated(self, node: yaml.MappingNode) -> None:
        seen: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if key.tag == _MERGE or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise Refused(
                    f"the key '{key.value}' is given twice", key.start_mark, "remove one", seen[key.value].start_mark
                )
            seen[key.value] = key

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        """The value of what `_INT` matches; `int(text, 0)` would refuse leading zeros."""
        text = self.construct_scalar(node)
        try:
            return int(text, 0) if text.startswith(("0x", "0o")) else int(text)
        except ValueError as error:
            raise Refused(
                f"'{shortened(text, 40)}' is not a whole number",
                node.start_mark,
                "write digits, and no more than a few",
            ) from error

    def construct_number(self, node: yaml.ScalarNode) -> float:
        """The value of what `_FLOAT` matches."""
        text = self.construct_scalar(node)
        if not _FLOAT.match(text):
            raise Refused(f"'{text}' is not a number", node.start_mark, "leave out the tag `!!float`")
        return float(self.construct_yaml_float(node))

    def construct_truth(self, node: yaml.ScalarNode) -> bool:
        """A boolean of YAML 1.1."""
        text = self.construct_scalar(node)
        if text.lower() not in self.bool_values:
            raise Refused(f"'{text}' is neither true nor false", node.start_mark, "leave out the tag `!!bool`")
        return bool(self.construct_yaml_bool(node))

    def construct_strange(self, node: yaml.Node) -> None:
        """Refuse a tag that settings have no use for."""
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        raise Refused(f"'{tag}' is not known", node.start_mark, "write the value without it")


def _plain(key: yaml.Node) -> str:
    return str(key.value).replace("-", "_")


def load(text: str, read: Callable[[Loader], T]) -> T:
    """What `read` makes of a text.

    Raises:
        Fault: the text is not YAML, or not such as settings are made of.
    """
    opened: list[Mark] = []
    try:
        loader = Loader(text)
        opened = loader.marks
        return read(loader)
    except yaml.YAMLError as error:
        raise find_fault(error, text, opened) from error


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back: quotes text that it would take for a number; writes repeated values in full."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether a value that is there again is written in full."""
        return True


for _resolver in (Loader, Dumper):
    _resolver.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in (_INT_TAG, _FLOAT_TAG, _TIMESTAMP, _VALUE)]
        for first, known in _resolver.yaml_implicit_resolvers.items()
    }
    _resolver.add_implicit_resolver(_INT_TAG, _INT, list("-+0123456789"))
    _resolver.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+.0123456789"))
Loader.yaml_constructors = {tag: made for tag, made in Loader.yaml_constructors.items() if tag in _TAGS}
Loader.add_constructor(_INT_TAG, Loader.construct_whole_number)
Loader.add_constructor(_FLOAT_TAG, Loader.construct_number)
Loader.add_constructor(_BOOL_TAG, Loader.construct_truth)
Loader.add_constructor(None, Loader.construct_strange)


def dump_yaml(values: Mapping[str, Any]) -> str:
    """YAML that is read back to the same values."""

    def dumped(allow_unicode: bool) -> str:
        return yaml.dump(dict(values), Dumper=Dumper, sort_keys=False, allow_unicode=allow_unicode, width=120)

    text = dumped(allow_unicode=True)
    odd = set("\x85\u2028\u2029") & set(text)  # a line ends there for YAML: they are kept by escapes alone
    return dumped(allow_unicode=False) if odd else text


def dump_settings(values: Mapping[str, Any], given: Container[str]) -> str:
    """YAML that is read back to the given keys alone; the values of the others, which are defaults, are comments."""
    defaults = dump_yaml({key: value for key, value in values.items() if key not in given})
    comments = "".join(f"# {line}\n" for line in defaults.splitlines())
    head = "\n# Not given; these are the defaults:\n" if comments else ""
    return dump_yaml({key: value for key, value in values.items() if key in given}) + head + comments


def inline_yaml(value: object) -> str:
    """A value as YAML on one line."""
    text = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=2**30, allow_unicode=True)
    return text.removesuffix("...\n").strip()
