"""Reads catalogues: neox's own, beside this module, and those of users. Both have the form that `catalogue.toml` describes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from neox_core.data.corpora import CORPORA
from neox_core.data.corpora.items import UNKNOWN, Item
from neox_core.errors import UserError, did_you_mean

OWN = Path(__file__).with_name("catalogue.toml")
"""neox's own catalogue."""

_ITEMS = TypeAdapter(dict[str, Item])


@cache
def catalogue() -> Mapping[str, Item]:
    """neox's own items by name, in the catalogue's order."""
    return read_catalogue(OWN)


def find_items(words: Iterable[str]) -> list[Item]:
    """The items that words name: each is an item's name, or a user's catalogue (`*.toml`), which means all of its items.

    Raises:
        UserError: there is no such item or file, or the file is no catalogue.
    """
    found: dict[str, Item] = {}
    for word in words:
        for item in _users(Path(word)) if word.endswith(".toml") else [_own(word)]:
            found[item.name] = item
    return list(found.values())


def read_catalogue(path: Path) -> Mapping[str, Item]:
    """The items of a catalogue, by name.

    Raises:
        UserError: the file cannot be read, is not TOML, or an entry is wrong; all wrong entries are named.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
        raw = {name: _completed(name, entry, path) for name, entry in entries.items()}
        items = _ITEMS.validate_python(raw)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read as a catalogue: {error}") from error
    except ValidationError as error:
        raise UserError("\n".join(_sentences(path, error))) from error
    for item in items.values():
        _check(path, item)
    return items


def _own(name: str) -> Item:
    items = catalogue()
    if name in CORPORA:
        raise UserError(f"'{name}' needs no fetching: it comes with every machine that has Python")
    if name not in items:
        hint = did_you_mean(name, list(items))
        raise UserError(f"There is nothing called '{name}' to fetch; {hint} `neox data fetch --list` shows everything.")
    return items[name]


def _users(path: Path) -> list[Item]:
    items = list(read_catalogue(path).values())
    for item in items:
        unknown = [file.name for file in item.files if file.digest is None]
        if unknown or item.listing:
            raise UserError(
                f"{path}: [{item.name}]: {'; '.join(unknown) or 'a listing'} has no digest. What is fetched by a catalogue "
                "of your own must be known: give every file a digest (`sha256sum FILE` prints it)."
            )
    return items


def _completed(name: str, entry: Any, path: Path) -> Any:
    """The entry with its name, its default directory and the files that `sums` names."""
    if not isinstance(entry, dict):
        return entry
    entry = {"name": name, "directory": name, **entry}
    if "sums" in entry and "files" not in entry:
        entry["files"] = _sums(path.with_name(str(entry.pop("sums"))))
    return entry


def _sums(path: Path) -> list[dict[str, object]]:
    """The files of a list with a line "SHA256 BYTES NAME" for each."""
    rows = [line.split(maxsplit=2) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows, start=1):
        if len(row) != 3 or not (row[1].isdecimal() or row[1] == UNKNOWN):
            raise UserError(f"{path}:{number} is no line of the form 'SHA256 BYTES NAME'")
    return [
        {"name": name, "bytes": int(size) if size.isdecimal() else size, "digest": f"sha256:{digits}"}
        for digits, size, name in rows
    ]


def _sentences(path: Path, error: ValidationError) -> list[str]:
    return [
        f"{path}: {'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    ]


def _check(path: Path, item: Item) -> None:
    """What no type says: no file has the name of another one, of its record or of its unfinished download."""
    taken: set[str] = set()
    for file in item.files:
        names = {file.name, f"{file.name}.json", f"{file.name}.part", f"{file.name}.part.json"}
        if taken & names:
            raise UserError(
                f"{path}: [{item.name}]: '{file.name}' is there twice, or is the name of another file's record"
            )
        taken |= names
    if item.listing and item.files:
        raise UserError(f"{path}: [{item.name}] has files and `listing = true`; it must have one of them")
    if (item.files or item.listing) and not item.base:
        raise UserError(f"{path}: [{item.name}] has files but no address; give `base`")
