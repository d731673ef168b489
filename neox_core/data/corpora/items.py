"""What can be fetched: items, each some files at one or more addresses."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

UNKNOWN = "unknown"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
_CLOSED = ConfigDict(extra="forbid")


class Digest(NamedTuple):
    """A published digest of a file: "sha256" or "md5", and the hexadecimal digits."""

    algorithm: str
    digits: str

    def matches(self, path: Path) -> bool:
        """Whether the file has it."""
        return file_digest(path, self.algorithm) == self.digits

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digits}"


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The hexadecimal digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def safe_name(name: str) -> str:
    """A relative path that stays below where it is put.

    Raises:
        ValueError: it does not, or is no name that all systems can have.
    """
    parts = name.split("/")
    if PurePosixPath(name).is_absolute() or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"'{name}' must be a relative path without '.' and '..'")
    if "\\" in name or not name.isprintable():
        raise ValueError(f"{name!r} has a character that a file's name must not have")
    return name


def _known(value: object) -> object:
    return None if value == UNKNOWN else value


def _digest(value: object) -> object:
    if value in (UNKNOWN, None):
        return None
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{value!r} is no digest; write 'sha256:' and 64 digits, 'md5:' and 32, or '{UNKNOWN}'")
    return Digest(*value.split(":"))


def _address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError(f"'{value}' is no address; it must begin with http:// or https://")
    return value if value.endswith("/") else f"{value}/"


Size = Annotated[int, Field(ge=0, strict=True)] | None
Name = Annotated[str, AfterValidator(safe_name)]
Address = Annotated[str, AfterValidator(_address)]


@dataclass(config=_CLOSED, frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of an item; `bytes` and `digest` are None where nobody published them."""

    name: Name
    bytes: Annotated[Size, BeforeValidator(_known)]
    digest: Annotated[Digest | None, BeforeValidator(_digest)]


@dataclass(config=_CLOSED, frozen=True, slots=True, kw_only=True)
class Item:
    """Something to fetch, as its catalogue describes it.

    Args:
        name: how it is asked for.
        kind: what it is for.
        summary: what it is.
        licence: under what terms, or "unknown".
        directory: where its files lie below the data directory.
        base: addresses of directories that have all the files, best first.
        files: what it consists of; empty for a listing.
        listing: whether its files are those that the index pages below `base` name.
        gone: a sentence, if nobody serves it any more by all that is known.
        alternatives: what to take instead, one sentence each.
    """

    name: str
    kind: Literal["corpus", "vocabulary", "weights"]
    summary: str
    licence: str
    directory: Annotated[str, AfterValidator(lambda name: name and safe_name(name))]
    base: list[Address]
    files: tuple[RemoteFile, ...] = ()
    listing: bool = False
    gone: str | None = None
    alternatives: list[str] = Field(default_factory=list)

    @property
    def bytes(self) -> int | None:
        """The size of all its files, or None where one is unknown."""
        sizes = [file.bytes for file in self.files]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) and not self.listing else None
