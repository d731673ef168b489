"""Nodes from text: YAML, JSON and TOML, of which nothing is imported but the targets that somebody allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from neox_core.config.loading import as_yaml, text_of
from neox_core.config.nodes import document
from neox_core.config.nodes.allowed import Allowed
from neox_core.config.nodes.decoding import decoded
from neox_core.config.nodes.document import Item
from neox_core.config.nodes.sections import section_of, split
from neox_core.config.nodes.sharing import joined
from neox_core.config.nodes.types import validate

_TEXT = "<text>"
"""What messages call a text that is no file."""


def from_yaml(text_or_path: str | Path, allow: Iterable[str] | None = None, *, check: bool = True) -> Any:
    """The nodes of a text or file in YAML; a mapping without `_target_` is the settings of a run, a `Config(NeoXArgs)`.

    Nothing is imported but what `_target_` names, and that only where it is allowed. Every argument knows its file and line.

    Args:
        text_or_path: the text; or the name of a file, with the section that is meant, if not all: `run.yml:trainer.model`.
        allow: packages, modules and classes under which targets are found, besides `DEFAULT_ALLOWED`.
        check: whether the arguments are held against their annotations. Those that lack are no mistake before they are needed.

    Raises:
        SettingsError: the text is no YAML, has duplicate keys, names what is not allowed, or has wrong arguments; with the lines.
        UserError: the file cannot be read, or has no such section.
    """
    return _read(text_or_path, document.from_yaml, allow, check)


def from_json(text_or_path: str | Path, allow: Iterable[str] | None = None, *, check: bool = True) -> Any:
    """The same of JSON, which is YAML with more brackets."""
    return _read(text_or_path, from_json_text, allow, check)


def from_toml(text_or_path: str | Path, allow: Iterable[str] | None = None, *, check: bool = True) -> Any:
    """The same of TOML."""
    return _read(text_or_path, document.from_toml, allow, check)


_Parse = Callable[[str, str], Item]


def from_json_text(text: str, source: str) -> Item:
    """The value of a text in JSON."""
    return document.from_yaml(as_yaml(text), source)


def _read(text_or_path: str | Path, parse: _Parse, allow: Iterable[str] | None, check: bool) -> Any:
    if isinstance(text_or_path, str) and not _is_path(text_or_path):
        return nodes_of(parse(text_or_path, _TEXT), "", allow, settings=True, check=check)
    path, section = split(text_or_path)
    return nodes_of(parse(text_of(path), str(path)), section, allow, settings=True, check=check)


def _is_path(text: str) -> bool:
    return re.fullmatch(r"[^\n{}]+\.(ya?ml|json|toml)(:\S+)?", text) is not None and ": " not in text


def nodes_of(item: Item, section: str, allow: Iterable[str] | None, *, settings: bool, check: bool) -> Any:
    """The nodes of a document, or of a section of it.

    Args:
        item: the document.
        section: the path of a part; "" for all of it.
        allow: packages, modules and classes under which targets are found.
        settings: whether all of a document that has no markers is the settings of a run.
        check: whether the arguments are held against their annotations.
    """
    found = section_of(joined(item), section)
    root = decoded(found, Allowed(allow), settings=settings and not section)
    if check:
        validate(root, complete=False)
    return root
