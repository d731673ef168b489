"""Reading YAML (and JSON, which is YAML) so that each value remembers its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neox_core.config.compatibility import reproduces
from neox_core.errors import Origin, Problem, SettingsError, UserError


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a configuration, spelt with underscores, its value and where it was written.

    `inner` says where the keys within a mapping were written, by their dotted path (`params.lr`); `hyphenated`, whether the key
    was spelt with hyphens; `former`, the earlier name of the key, if that was given; `overrides`, whether it takes the place of
    what files say, under whichever name.
    """

    key: str
    value: Any
    origin: Origin
    inner: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)
    hyphenated: bool = field(default=False, compare=False, repr=False)
    former: str | None = field(default=None, compare=False, repr=False)
    overrides: bool = field(default=False, compare=False, repr=False)


_INT = re.compile(r"^[-+]?\d+$|^0o[0-7]+$|^0x[0-9a-fA-F]+$")
_FLOAT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")
_INT_TAG, _FLOAT_TAG, _MERGE, _NULL, _TIMESTAMP = (
    f"tag:yaml.org,2002:{name}" for name in ("int", "float", "merge", "null", "timestamp")
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's numbers, without dates and without silent duplicates.

    `1e-5` is a number, `010` is ten, `1:30` and `1_000` are text. Booleans stay those of YAML 1.1 (`yes` and `off` too), because
    files for GPT-NeoX were written for it.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                continue
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is there twice, on lines {seen[key]} and {line}", key_node.start_mark
                )
            seen[key] = line
        return super().construct_mapping(node, deep)

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        """The value of what `_INT` matches; `int(text, 0)` would refuse leading zeros."""
        text = self.construct_scalar(node)
        try:
            return int(text, 0) if text.startswith(("0x", "0o")) else int(text)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"{text[:40]!r} is not a whole number", node.start_mark
            ) from error


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back: quotes text that it would take for a number; writes repeated values in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _resolver in (_Loader, _Dumper):
    _resolver.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in (_INT_TAG, _FLOAT_TAG, _TIMESTAMP)]
        for first, known in _resolver.yaml_implicit_resolvers.items()
    }
    _resolver.add_implicit_resolver(_INT_TAG, _INT, list("-+0123456789"))
    _resolver.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+.0123456789"))
_Loader.add_constructor(_INT_TAG, _Loader.construct_whole_number)


def dump_yaml(values: Mapping[str, Any]) -> str:
    """YAML that `read_text` reads back to the same values."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def parse_value(text: str) -> Any:
    """A single value, as YAML: for overrides on the command line. Nothing is ever evaluated.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return yaml.load(text, Loader=_Loader)


def read_file(path: Path) -> list[Entry]:
    """The top-level entries of a file, in order.

    Raises:
        UserError: there is no such file, or it is not a mapping in YAML or JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; give the path of a YAML or JSON file") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is not text in UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from error
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON may be indented by tabs, YAML may not
    return read_text(text, str(path))


def read_text(text: str, source: str) -> list[Entry]:
    """The same for text; `source` names it in messages."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None or root.tag == _NULL:
            return []
        if not isinstance(root, yaml.MappingNode):
            found = type(root).__name__.removesuffix("Node").lower()
            raise UserError(f"{source}:{root.start_mark.line + 1}: expected lines `key: value`, found a {found}")
        lines = text.splitlines()
        return [_entry(loader, key, value, lines, source) for key, value in root.value]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{source}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error


def _entry(loader: _Loader, key_node: yaml.Node, value_node: yaml.Node, lines: Sequence[str], source: str) -> Entry:
    key = loader.construct_object(key_node, deep=True)
    line = key_node.start_mark.line
    if not isinstance(key, str):
        raise UserError(f"{source}:{line + 1}: the key {key!r} is not a word")
    value = loader.construct_object(value_node, deep=True)

    def origin(line: int) -> Origin:
        return Origin(source=source, line=line + 1, text=lines[line])

    inner = {path: origin(line) for path, line in _inner_lines(value_node)}
    return Entry(key.replace("-", "_"), value, origin(line), inner, "-" in key)


def _inner_lines(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int]]:
    """The dotted path and line of each key within a mapping."""
    for key_node, value_node in node.value if isinstance(node, yaml.MappingNode) else ():
        inner = f"{path}{key_node.value}"
        yield inner, key_node.start_mark.line
        yield from _inner_lines(value_node, f"{inner}.")


def merge(files: Iterable[Sequence[Entry]], overrides: Iterable[str] = ()) -> dict[str, Entry]:
    """The entries of several files together.

    Args:
        files: the entries of each.
        overrides: those that will be applied; one of them may say `compat`, which decides about spellings.

    Raises:
        SettingsError: a key is given twice, in whatever spelling; all such keys are listed.
    """
    merged: dict[str, Entry] = {}
    problems = []
    given = [entry for entries in files for entry in entries]
    said = [override.partition("=")[2] for override in overrides if override.startswith("compat=")]
    compat = said[-1] if said else next((entry.value for entry in given if entry.key == "compat"), None)
    for entry in given:
        first = merged.setdefault(entry.key, entry)
        if first is entry:
            continue
        if entry.hyphenated and reproduces(compat, "hyphen-duplicates"):
            merged[entry.key] = entry
        else:
            problems.append(given_twice(first, entry))
    if problems:
        raise SettingsError(problems)
    return merged


def given_twice(first: Entry, second: Entry) -> Problem:
    """The problem of a key with two values."""
    message = f"is given twice, in {first.origin} ({first.value!r}) and {second.origin} ({second.value!r})"
    return Problem(
        keys=(second.key,), message=message, remedy="remove one", origin=second.origin, others=(first.origin,)
    )


def apply_override(entries: dict[str, Entry], text: str) -> None:
    """Apply one `key=value` or `key.sub.key=value` of the command line, in place.

    Raises:
        UserError: it has no `=`, is not YAML, or goes into a value that is not a mapping.
    """
    path, separator, value_text = text.partition("=")
    if not separator or not path:
        raise UserError(f"'{text}': neither a file nor an override; an override is written key=value")
    try:
        value = parse_value(value_text)
    except yaml.YAMLError as error:
        raise UserError(f"'{text}': the value is not valid YAML: {' '.join(str(error).split())}") from error
    key, *rest = path.split(".")
    key, origin, inner = key.replace("-", "_"), Origin(source=f"command line ({text})"), {}
    if rest:
        before = entries.get(key, Entry(key, {}, origin))
        value = _with_inner(before.value, rest, value, text)
        inner = {**before.inner, ".".join(rest): origin}
    entries[key] = Entry(key, value, origin, inner, overrides=True)


def _with_inner(outer: Any, path: list[str], value: Any, text: str) -> dict[str, Any]:
    if not isinstance(outer, dict):
        raise UserError(f"'{text}': '{path[0]}' cannot be set within {outer!r}, which is not a mapping")
    inner = value if len(path) == 1 else _with_inner(outer.get(path[0], {}), path[1:], value, text)
    return {**outer, path[0]: inner}
