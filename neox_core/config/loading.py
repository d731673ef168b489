"""Reading YAML (and JSON, which is YAML) so that each value remembers its file and line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from neox_core.config.entry import Entry
from neox_core.config.yaml_errors import Fault, Refused
from neox_core.config.yaml_text import Loader, Pair, load
from neox_core.errors import Origin, SettingsError, UserError


def read_file(path: Path) -> list[Entry]:
    """The top-level entries of a file, in order.

    Raises:
        UserError: there is no such file, or it is not a mapping in YAML or JSON.
    """
    text = text_of(path)
    return read_text(as_yaml(text) if path.suffix == ".json" else text, str(path))


def as_yaml(json: str) -> str:
    """JSON as YAML has it: that may be indented by tabs, YAML may not."""
    return json.replace("\t", " ")


def text_of(path: Path) -> str:
    """What a file says.

    Raises:
        UserError: there is no such file, or it is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; give the path of a YAML or JSON file") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is not text in UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from error


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
    origin = pair_origin(key_node, value_node, lines, source)
    inner = {path: pair_origin(*pair, lines, source) for path, pair in _inner_pairs(value_node)}
    return Entry(key.replace("-", "_"), value, origin, inner, "-" in key)


def pair_origin(key: yaml.Node, value: yaml.Node, lines: Sequence[str], source: str) -> Origin:
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
