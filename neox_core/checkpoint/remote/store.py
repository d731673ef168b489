"""What a store of objects is: whole objects under names, which plugins offer for the schemes of URLs (component kind `store`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from neox_core.checkpoint.remote.source_file import SourceFile
from neox_core.errors import UserError


class StoreError(UserError):
    """A store does not do what it is asked; the sentence names the URL and says what to do.

    Args:
        message: the sentence.
        lasting: whether it will stay so until somebody mends it, as with wrong credentials, so that trying again is no use.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Given(Exception):
    """Copying was given up because it is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is there.

    Args:
        name: beneath the store's URL.
        size: in bytes.
        sha256: hexadecimal, of the content that was sent, where the store keeps it; None: it does not, or was not asked.
    """

    name: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store is talked to.

    Args:
        part_size: bytes in one part of an upload that goes in parts.
        timeout: seconds that it may take to answer.
        threads: requests under way at once.
    """

    part_size: int = 104_857_600
    timeout: float = 60.0
    threads: int = 4


class Store(Protocol):
    """The objects beneath one URL. Its methods may be called by several threads at once, and raise `StoreError`.

    A name has parts that are separated by `/` and says where an object lies beneath the URL. An object is whole or not there.
    """

    @property
    def url(self) -> str:
        """Where it is, without credentials and without a `/` at its end."""

    def folders(self, within: str = "") -> list[str]:
        """First parts of names that have several, each once: of all names, or of those in a folder, without that."""

    def list(self, folder: str) -> Iterator[Stored]:
        """The objects whose names begin with `folder` and a `/`; what their sha256 is need not be said."""

    def stat(self, name: str) -> Stored | None:
        """What is known of one object; None: it is not there."""

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start` to `stop` of an object, in blocks of any size."""

    def write(self, name: str, content: bytes) -> None:
        """Make a small object of `content`, in place of one of this name."""

    def upload(self, name: str, source: SourceFile, stopped: Callable[[], bool]) -> int:
        """Make an object of a file, in place of one of this name, and see that what arrived is what the file's record says.

        What an upload that was cut short has left there of the same content is not sent again.

        Args:
            name: the object.
            source: the file.
            stopped: asked between parts, and by any thread, whether to give up; what has been sent may stay.

        Returns:
            Bytes that were sent.

        Raises:
            Given: `stopped` said so.
            StoreError: the store refuses, or keeps something else than was sent.
            UserError: the file is not what its record says.
        """

    def delete(self, name: str) -> None:
        """Remove an object; it need not be there."""

    def forget_uploads(self, folder: str) -> None:
        """Remove what uploads that were cut short have left of objects in `folder`, where a store keeps such."""
