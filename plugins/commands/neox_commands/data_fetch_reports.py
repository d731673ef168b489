"""What `neox data fetch` says: each report does its work and prints as lines or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol

from neox_core.data.corpora.fetching import Held, Place, fetch, held
from neox_core.data.corpora.items import UNKNOWN, Item
from neox_core.data.corpora.records import State

_READY = {State.WHOLE, State.UNKNOWN}


class Report(Protocol):
    """The outcome of a call."""

    exit_code: int

    def text(self) -> str:
        """For people."""

    def json(self) -> str:
        """For programs."""


class Listed:
    """What there is to fetch."""

    exit_code = 0

    def __init__(self, items: list[Item], place: Place) -> None:
        self._items = items

    def text(self) -> str:
        """One line an item; when few are asked for, all that is known."""
        if len(self._items) < 4:
            return "\n\n".join("\n".join(_description(item)) for item in self._items)
        width = max(len(item.name) for item in self._items)
        return "\n".join(
            f"{item.name:{width}}  {item.kind:10}  {_size(item.bytes):>8}  {'gone: ' if item.gone else ''}{item.summary}"
            for item in self._items
        )

    def json(self) -> str:
        """Every item with its files."""
        return _dumped(
            {
                "name": item.name,
                "kind": item.kind,
                "summary": item.summary,
                "licence": item.licence,
                "bytes": item.bytes,
                "gone": item.gone,
                "alternatives": item.alternatives,
                "base": item.base,
                "files": None if item.listing else [_file(file) for file in item.files],
            }
            for item in self._items
        )


class _OfFiles:
    """A report on the files of items."""

    exit_code = 0

    def __init__(self, found: list[tuple[Item, list[Held]]]) -> None:
        self._found = found

    def json(self) -> str:
        """Every file, with the item it belongs to."""
        return _dumped(
            {
                "item": item.name,
                **_file(file.file),
                "path": str(file.path),
                "state": file.state,
                "fetched": file.fetched,
            }
            for item, files in self._found
            for file in files
        )


class Fetched(_OfFiles):
    """Fetches, and says what came."""

    def __init__(self, items: list[Item], place: Place) -> None:
        super().__init__([(item, fetch(item, place)) for item in items])

    def text(self) -> str:
        """One line an item."""
        return "\n".join(self._line(item, files) for item, files in self._found)

    def _line(self, item: Item, files: list[Held]) -> str:
        if not files:
            return f"{item.name}: there is nothing to fetch"
        size = sum(file.path.stat().st_size for file in files)
        new = sum(file.fetched for file in files)
        came = {0: "was there already", len(files): "fetched"}.get(
            new, f"{new:,} fetched, the others were there already"
        )
        what = str(files[0].path) if len(files) == 1 else f"{len(files):,} files, from {files[0].path}"
        return f"{item.name}: {what} ({_size(size)}): {came}"


class Planned(_OfFiles):
    """Says what would be fetched."""

    def __init__(self, items: list[Item], place: Place) -> None:
        self._place = place
        super().__init__([(item, held(item, place)) for item in items])

    def text(self) -> str:
        """One line a file that is missing."""
        return "\n".join(line for item, files in self._found for line in self._lines(item, files))

    def _lines(self, item: Item, files: list[Held]) -> list[str]:
        bases = self._place.bases(item)
        note = [f"{item.name}: {item.gone}"] if item.gone and self._place.mirror is None else []
        if item.listing:
            return [*note, f"{item.name}: would fetch what {bases[0]} lists, into {self._place.directory(item)}"]
        wanted = files if self._place.force else [file for file in files if file.state not in _READY]
        if not wanted:
            return [*note, f"{item.name}: nothing is missing"]
        lines = [f"  {file.path}  {_size(file.file.bytes)}  {bases[0]}{file.file.name}" for file in wanted]
        return [*note, f"{item.name}: would fetch {len(wanted):,} of {len(files):,} files ({_total(wanted)})", *lines]


class Verified(_OfFiles):
    """Holds the content of what is there against what it must be."""

    def __init__(self, items: list[Item], place: Place) -> None:
        super().__init__([(item, held(item, place, verify=True)) for item in items])
        unlisted = any(item.listing and not files for item, files in self._found)
        self.exit_code = int(
            unlisted or any(file.state is not State.WHOLE for _, files in self._found for file in files)
        )

    def text(self) -> str:
        """One line an item, and one for each of its files that is not whole."""
        return "\n".join(line for item, files in self._found for line in self._lines(item, files))

    def _lines(self, item: Item, files: list[Held]) -> list[str]:
        if item.listing and not files:
            return [f"{item.name}: was never fetched here"]
        whole = sum(file.state is State.WHOLE for file in files)
        others = [f"  {file.path}  {_STATES[file.state]}" for file in files if file.state is not State.WHOLE]
        return [f"{item.name}: {whole:,} of {len(files):,} files are whole", *others]


_STATES = {
    State.UNKNOWN: "there, but nothing says what it must be: no digest is known, and `neox data fetch` did not fetch it",
    State.PART: "unfinished",
    State.DAMAGED: "damaged: its size or digest is not what it must be",
    State.MISSING: "missing",
}


def _description(item: Item) -> list[str]:
    """All that is known of an item."""
    count = "what its server lists" if item.listing else f"{len(item.files):,} of {_size(item.bytes)} together"
    rows = [("kind", item.kind), ("licence", item.licence), ("directory", item.directory or "."), ("files", count)]
    rows += [("address", base) for base in item.base]
    rows += [("gone", item.gone)] if item.gone else []
    rows += [("instead", text) for text in item.alternatives]
    return [f"{item.name}: {item.summary}", *(f"  {label:9}  {text}" for label, text in rows)]


def _file(file: Any) -> dict[str, Any]:
    return {"file": file.name, "bytes": file.bytes, "digest": str(file.digest) if file.digest else None}


def _total(files: list[Held]) -> str:
    sizes = [file.file.bytes for file in files]
    known = [size for size in sizes if size is not None]
    return _size(sum(known)) if len(known) == len(sizes) else f"size {UNKNOWN}"


def _size(size: int | None) -> str:
    """A size to read: MB up to a thousand of them, then GB."""
    if size is None:
        return UNKNOWN
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def _dumped(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), indent=2, ensure_ascii=False)
