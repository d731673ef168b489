"""Reading YAML (and JSON, which is YAML) so that each value remembers its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neox_core.config.compatibility import reproduces
from neox_core.config.yaml_errors import Fault, Refused
from neox_core.config.yaml_text import DEEPEST, Loader, Pair, load
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
    lines = text.splitlines()
    try:
        return load(text, lambda loader: [_entry(loader, *pair, lines, source) for pair in loader.pairs()])
    except Fault as fault:
        raise SettingsError([fault.problem(lines, source)]) from fault


def _entry(loader: Loader, key_node: yaml.Node, value_node: yaml.Node, lines: Sequence[str], source: str) -> Entry:
    key = loader.construct_object(key_node, deep=True)
    if not isinstance(key, str):
        raise Refused(f"the key {key!r} is not a word", key_node.start_mark, "begin the line with the name of a key")
    value = loader.construct_object(value_node, deep=True)
    origin = _origin(key_node, value_node, lines, source)
    inner = {path: _origin(*pair, lines, source) for path, pair in _inner_pairs(value_node)}
    return Entry(key.replace("-", "_"), value, origin, inner, "-" in key)


def _origin(key: yaml.Node, value: yaml.Node, lines: Sequence[str], source: str) -> Origin:
    """Where a key and its value are."""
    line = key.start_mark.line
    text = lines[line]
    beside = value.start_mark.line == line and value.start_mark.column >= key.end_mark.column
    return Origin(
        source=source,
        line=line + 1,
        text=text,
        key_start=key.start_mark.column,
        key_end=key.end_mark.column,
        value_start=value.start_mark.column if beside else None,
        value_end=(value.end_mark.column if value.end_mark.line == line else len(text)) if beside else None,
    )


def _inner_pairs(node: yaml.Node, path: str = "") -> Iterator[tuple[str, Pair]]:
    """The dotted path of each key within a mapping, with its nodes."""
    for key_node, value_node in node.value if isinstance(node, yaml.MappingNode) else ():
        inner = f"{path}{key_node.value}"
        yield inner, (key_node, value_node)
        yield from _inner_pairs(value_node, f"{inner}.")


def merge(files: Iterable[Sequence[Entry]], compat: Any = None) -> dict[str, Entry]:
    """The entries of several files together.

    Args:
        files: the entries of each.
        compat: the value of `compat`, which decides about spellings, where something else than the files says it.

    Raises:
        SettingsError: a key is given twice, in whatever spelling; all such keys are listed.
    """
    merged: dict[str, Entry] = {}
    problems = []
    given = [entry for entries in files for entry in entries]
    if compat is None:
        compat = next((entry.value for entry in given if entry.key == "compat"), None)
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
    return Problem(
        keys=(second.key,),
        message=f"is given twice, first in {first.origin}",
        remedy="remove one",
        origin=second.origin,
        others=(first.origin,),
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
        value = load(value_text, Loader.get_single_data)
    except Fault as fault:
        raise UserError(f"'{_shown(text)}': in the value: {fault.message}; {fault.remedy}") from fault
    key, *rest = path.split(".")
    if len(rest) > DEEPEST:
        raise UserError(f"'{_shown(text)}': leads through more than {DEEPEST} mappings; shorten it")
    key, origin, inner = key.replace("-", "_"), Origin(source=f"command line ({text})"), {}
    if rest:
        before = entries.get(key, Entry(key, {}, origin))
        value = _with_inner(before.value, rest, value, text)
        path = ".".join(rest)
        inner = {known: place for known, place in before.inner.items() if not known.startswith(f"{path}.")} | {
            path: origin
        }
    entries.pop(key, None)  # the order says which came last
    entries[key] = Entry(key, value, origin, inner, overrides=True)


def _shown(text: str) -> str:
    """A word of the command line, cut where it is long."""
    return text if len(text) <= 200 else f"{text[:200]}..."


def _with_inner(outer: Any, path: list[str], value: Any, text: str) -> dict[str, Any]:
    if not isinstance(outer, dict):
        raise UserError(f"'{text}': '{path[0]}' cannot be set within {outer!r}, which is not a mapping")
    inner = value if len(path) == 1 else _with_inner(outer.get(path[0], {}), path[1:], value, text)
    return {**outer, path[0]: inner}
