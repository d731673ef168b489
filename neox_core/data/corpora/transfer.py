"""One HTTP request for a file or its rest (RFC 9110: Range, If-Range), and what its failures mean."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from neox_core.data.corpora.items import RemoteFile
from neox_core.data.corpora.part_file import PartFile, Version

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as lost."""

_CHUNK = 1 << 18
_HEAD = 512  # bytes in which a web page shows
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_GONE = {404, 410}
_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_LONGEST_RETRY_AFTER = 60.0

Advance = Callable[[int, int | None], None]
"""Called with how many bytes of the file are there, and how many it has, if the server says."""


class Body(Protocol):
    """What a request is answered with."""

    status: int
    headers: Message

    def read(self, amount: int, /) -> bytes:
        """So many of the next bytes, or as many as there are."""

    def read1(self, amount: int, /) -> bytes:
        """What has come of the next bytes; none at the end."""

    def close(self) -> None:
        """End the connection."""


class Refused(Exception):
    """An address does not give the file, and asking again would not help; the text is the reason."""


class Interrupted(Exception):
    """An address did not give all of the file this time; `retry_after` is the server's wish in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that begins at `offset` of a version of the file."""

    body: Body
    offset: int
    version: Version


def transfer(address: str, part: PartFile, file: RemoteFile, advance: Advance) -> None:
    """Append to `part` what is missing of `file`; or from its beginning, if what is there is of another version.

    Raises:
        Refused: the address has no such file, or another one.
        Interrupted: the connection was lost; what came is kept.
        UserError: the disk is full, or refuses.
    """
    offset = _resumable(address, part, file)
    if offset and offset == _whole(part, file):
        return
    try:
        answer = _ask(address, part, offset)
        with closing(answer.body):
            _check(answer, file)
            if answer.offset == 0:
                part.begin(answer.version)
            _receive(answer, part, file, advance)
    except (OSError, http.client.HTTPException) as error:
        raise _meaning(error) from error


def get_text(address: str) -> str:
    """A page, as text; raises `Refused` and `Interrupted` as `transfer` does."""
    try:
        with urlopen(_request(address), timeout=TIMEOUT) as page:
            content: bytes = page.read()
    except (OSError, http.client.HTTPException) as error:
        raise _meaning(error) from error
    return content.decode("utf-8", errors="replace")


def _resumable(address: str, part: PartFile, file: RemoteFile) -> int:
    """How many of the bytes that are there may be the beginning of what the address has.

    With a published digest a wrong guess comes to light; without one, only the same version of the same address will do.
    """
    version = part.version
    if version is None:
        return 0
    same = version.address == address and version.validator is not None
    return part.size if same or file.digest is not None else 0


def _whole(part: PartFile, file: RemoteFile) -> int | None:
    version = part.version
    return file.bytes if file.bytes is not None or version is None else version.bytes


def _request(address: str, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(address, headers={"User-Agent": "neox", "Accept-Encoding": "identity", **named})


def _ask(address: str, part: PartFile, offset: int) -> Answer:
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        version = part.version
        if version is not None and version.address == address and version.validator is not None:
            headers["If_Range"] = version.validator
    try:
        response = urlopen(_request(address, **headers), timeout=TIMEOUT)
    except HTTPError as error:
        if offset and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _ask(address, part, 0)
        raise
    answer = _answer(address, response)
    if answer.offset in (offset, 0):
        return answer
    if offset == 0:
        raise Refused("gives a part of the file that was not asked for")
    return _ask(address, part, 0)


def _answer(address: str, response: Body) -> Answer:
    headers = response.headers
    offset, size = 0, headers["Content-Length"]
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers["Content-Range"] or "")
        if content_range is None:
            raise Refused(f"answers for a part of the file that it does not name ({headers['Content-Range']})")
        offset, size = int(content_range[1]), content_range[2]
    size = int(size) if size is not None and size.isdecimal() else None
    return Answer(response, offset, Version(address, headers["ETag"], headers["Last-Modified"], size))


def _check(answer: Answer, file: RemoteFile) -> None:
    """Refuse what cannot be the file, before any of it is written."""
    size = answer.version.bytes
    page = answer.body.headers.get_content_type() in ("text/html", "application/xhtml+xml")
    if page and not file.name.endswith((".html", ".htm")):
        raise Refused("gives a web page in place of the file")
    if None not in (size, file.bytes) and size != file.bytes:
        raise Refused(f"has a file of {size:,} bytes, which must have {file.bytes:,}")


def _receive(answer: Answer, part: PartFile, file: RemoteFile, advance: Advance) -> None:
    size = answer.version.bytes
    advance(part.size, size)
    data = answer.body.read(_HEAD)
    if answer.offset == 0 and file.digest is None and _PAGE.match(data):
        raise Refused("gives a web page in place of the file")
    while data:
        part.append(data)
        advance(part.size, size)
        data = answer.body.read1(_CHUNK)
    expected = size if size is not None else file.bytes
    if expected is not None and part.size < expected:
        raise Interrupted(f"the connection ended after {part.size:,} of {expected:,} bytes")


def _meaning(error: Exception) -> Refused | Interrupted:
    if isinstance(error, HTTPError):
        return _status_meaning(error)
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN:
        return Refused(f"cannot be reached: this machine knows no server of that name ({reason.strerror})")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Refused(f"cannot be trusted: its certificate is not valid ({reason.verify_message})")
    if isinstance(reason, TimeoutError):
        return Interrupted(f"nothing came for {TIMEOUT:.0f} seconds")
    return Interrupted(f"the connection was lost ({reason})")


def _status_meaning(error: HTTPError) -> Refused | Interrupted:
    said = f"{error.code} {error.reason}".strip()
    if error.code in _TRANSIENT:
        after = error.headers["Retry-After"] or ""
        return Interrupted(
            f"the server says {said}", min(float(after), _LONGEST_RETRY_AFTER) if after.isdecimal() else None
        )
    if error.code in _GONE:
        return Refused(f"no longer answers ({said})")
    return Refused(f"refuses the file ({said})")
