"""Reading YAML (and JSON, which is YAML) so that each value remembers its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neox_core.config.compatibility import reproduces
from neox_core.config.yaml_errors import Fault, Refused
from neox_core.config.yaml_text import Loader, Pair, load
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


def merge(files: Iterable[Sequence[Entry]], later: Iterable[Entry] = ()) -> dict[str, Entry]:
    """The entries of several files together.

    Args:
        files: the entries of each.
        later: those that will be laid over them; where they have `compat`, it decides about spellings in the files too.

    Raises:
        SettingsError: a key is given twice, in whatever spelling; all such keys are listed.
    """
    merged: dict[str, Entry] = {}
    problems = []
    given = [entry for entries in files for entry in entries]
    compat = compat_of([*given, *later])
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


def compat_of(entries: Iterable[Entry]) -> Any:
    """The last value of `compat` among these entries; None where they do not have it."""
    return next((entry.value for entry in reversed(list(entries)) if entry.key == "compat"), None)


def given_twice(first: Entry, second: Entry) -> Problem:
    """The problem of a key with two values."""
    return Problem(
        keys=(second.key,),
        message=f"is given twice, first in {first.origin}",
        remedy="remove one",
        origin=second.origin,
        others=(first.origin,),
    )
