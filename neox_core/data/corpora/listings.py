"""The files below an address, as its server's index pages name them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urldefrag, urljoin

from neox_core.data.corpora.items import Item, RemoteFile, safe_name
from neox_core.data.corpora.transfer import Refused, get_text
from neox_core.errors import UserError
from neox_core.files import write_file

_MOST_PAGES = 1000
_REJECTED = re.compile(r"index\.html|.*\.files\.json$")  # index pages themselves, and what `keep_listing` writes


class _Links(HTMLParser):
    """The targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def list_files(base: str) -> tuple[RemoteFile, ...]:
    """The files below `base`, in the order of their names; sizes and digests are unknown.

    What `neox data fetch` itself puts beside files (`FILE.json`, `FILE.part`) is left out, so that a served data directory will do.

    Raises:
        Refused: a page is not there, or there is no file.
        Interrupted: a page could not be had this time.
    """
    names: set[str] = set()
    pages, seen = [base], {base}
    while pages:
        page = pages.pop()
        if len(seen) > _MOST_PAGES:
            raise Refused(f"lists more than {_MOST_PAGES:,} directories")
        for target in _targets(page):
            if target.endswith("/") and target not in seen:
                seen.add(target)
                pages.append(target)
            elif not target.endswith("/"):
                names.add(_name(base, target))
    own = {f"{name}{suffix}" for name in names for suffix in (".json", ".part", ".part.json")}
    found = sorted(name for name in names - own if not _REJECTED.match(PurePosixPath(name).name))
    if not found:
        raise Refused("lists no files")
    return tuple(_unknown(name) for name in found)


def file_address(base: str, name: str) -> str:
    """The address of a file below `base`."""
    return base + quote(name)


def listing_path(item: Item, directory: Path) -> Path:
    """Where the names of an item's files are kept once a server has listed them."""
    return directory / f"{item.name}.files.json"


def keep_listing(path: Path, files: tuple[RemoteFile, ...]) -> None:
    """Keep the names of files, for `kept_listing`."""
    write_file(path, json.dumps([file.name for file in files], indent=2) + "\n")


def kept_listing(path: Path) -> tuple[RemoteFile, ...] | None:
    """The files that a server listed at the last fetch, or None where there was none.

    Raises:
        UserError: the file is not one of `keep_listing`.
    """
    if not path.is_file():
        return None
    try:
        names = json.loads(path.read_bytes())
        return tuple(_unknown(name) for name in names)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is no list of files ({error}); remove it and fetch again") from error


def _unknown(name: str) -> RemoteFile:
    return RemoteFile(name=name, bytes=None, digest=None)


def _targets(page: str) -> list[str]:
    """The addresses below `page` that it links to, without those that only sort it."""
    links = _Links()
    links.feed(get_text(page))
    absolute = [urldefrag(urljoin(page, target)).url for target in links.targets]
    return [target for target in absolute if target.startswith(page) and target != page and "?" not in target]


def _name(base: str, target: str) -> str:
    try:
        return safe_name(unquote(target.removeprefix(base)))
    except ValueError as error:
        raise Refused(f"lists a file that cannot be taken: {error}") from error
