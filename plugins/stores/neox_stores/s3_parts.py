"""One file as the parts of one object of S3: sent at once by several threads, and not again where they have arrived before."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple, TypeVar

from neox_core.checkpoint.remote import Given, SourceFile, Span, StoreError, StoreOptions, in_parallel

R = TypeVar("R")

LEAST = 5 << 20
"""Bytes that a part must have that is not the last."""

MOST = 10_000
"""Parts that an object may have."""


class Part(NamedTuple):
    """A part of a file.

    Args:
        number: from 1.
        start: where it begins in the file.
        stop: where it ends.
        sha256: base64, of its bytes.
        md5: hexadecimal, of its bytes, where it was asked for.
    """

    number: int
    start: int
    stop: int
    sha256: str
    md5: str | None


class Arrived(NamedTuple):
    """A part that the store has.

    Args:
        size: in bytes.
        etag: by which it is named; of most stores its md5.
        sha256: base64, where the store keeps it.
    """

    size: int
    etag: str
    sha256: str | None

    def is_of(self, part: Part) -> bool:
        """Whether it has the content of a part."""
        if self.size != part.stop - part.start:
            return False
        return self.sha256 == part.sha256 if self.sha256 else self.etag.strip('"') == part.md5


class Parts:
    """An upload of one file in parts.

    Args:
        client: boto3's.
        at: bucket and key.
        source: the file.
        options: part size and threads.
        spoken: makes sentences of errors, given what is tried.
    """

    def __init__(
        self,
        client: Any,
        at: Mapping[str, str],
        source: SourceFile,
        options: StoreOptions,
        spoken: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._client, self._at, self._source, self._spoken = client, at, source, spoken
        self._size = max(options.part_size, LEAST, -(-source.size // MOST))
        self._threads = options.threads
        self._whole = hashlib.sha256()

    def send(self, stopped: Callable[[], bool]) -> int:
        """Send what has not arrived before, and make the object; bytes that were sent.

        Raises:
            Given: `stopped` said so.
            UserError: the file is not what its record says; nothing is left in the store then.
        """
        unfinished = self._unfinished()
        upload, arrived = self._begun(unfinished) or (self._begin(), dict[int, Arrived]())

        def send(part: Part) -> Entry:
            if stopped():
                raise Given
            known = arrived.get(part.number)
            if known is not None and known.is_of(part):
                return Entry(part, known.etag)
            return self._send(upload, part)

        done = in_parallel(send, self._parts(with_md5=bool(arrived)), self._threads)
        try:
            self._source.check(self._whole.hexdigest())
        except Exception:
            self._abandon(upload)
            raise
        with self._spoken("put the parts together"):
            self._client.complete_multipart_upload(**self._at, UploadId=upload, MultipartUpload={"Parts": listed(done)})
        for other in unfinished:
            if other != upload:
                with suppress(StoreError):  # the object is there; what is left of others costs room, and no more
                    self._abandon(other)
        return sum(entry.sent for entry in done)

    def _parts(self, *, with_md5: bool) -> Iterator[Part]:
        """All of them, in order; the file is read on the way, once for all digests."""
        for number in range(1, -(-self._source.size // self._size) + 1):
            yield self._part(number, self._whole, with_md5=with_md5)

    def _part(self, number: int, *digests: Any, with_md5: bool) -> Part:
        """One of them, of which the bytes are added to `digests` too."""
        start = (number - 1) * self._size
        stop = min(start + self._size, self._source.size)
        own, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for block in self._source.blocks(start, stop):
            for digest in (own, *digests, *([md5] if with_md5 else [])):
                digest.update(block)
        return Part(number, start, stop, base64_of(own.digest()), md5.hexdigest() if with_md5 else None)

    def _begin(self) -> str:
        with self._spoken("begin an upload"):
            answer = self._client.create_multipart_upload(
                **self._at, ChecksumAlgorithm="SHA256", Metadata={"sha256": self._source.record.sha256}
            )
        return str(answer["UploadId"])

    def _send(self, upload: str, part: Part) -> Entry:
        def send() -> dict[str, Any]:
            with self._spoken("write a part"):
                answer: dict[str, Any] = self._client.upload_part(
                    **self._at,
                    UploadId=upload,
                    PartNumber=part.number,
                    Body=Span(self._source, part.start, part.stop),
                    ContentLength=part.stop - part.start,
                    ChecksumSHA256=part.sha256,
                )
            return answer

        answer = repeated(send)
        return Entry(part, answer["ETag"], part.stop - part.start, "ChecksumSHA256" in answer)

    def _begun(self, uploads: Sequence[str]) -> tuple[str, dict[int, Arrived]] | None:
        """The first of some uploads that was of this file, as far as the first part that has arrived of it says, and what has.

        An upload has the sha256 of its file, but stores tell it of objects alone. That one was of another content all the same is seen
        when the object is made.
        """
        for upload in uploads:
            arrived = self._arrived(upload)
            number = min(arrived, default=0)
            fits = 0 < number <= -(-self._source.size // self._size)
            if fits and arrived[number].is_of(self._part(number, with_md5=True)):
                return upload, arrived
        return None

    def _unfinished(self) -> list[str]:
        """The uploads of this object that were cut short, the newest first."""
        try:
            found = self._listed()
        except StoreError as error:
            if error.lasting:
                return []  # who may write need not be allowed to list; whether this one may write is seen next
            raise
        usable = [each for each in found if each.get("ChecksumAlgorithm", "SHA256") == "SHA256"]
        return [each["UploadId"] for each in sorted(usable, key=lambda each: each["Initiated"], reverse=True)]

    def _listed(self) -> list[dict[str, Any]]:
        with self._spoken("list unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._at["Bucket"], Prefix=self._at["Key"]
            )
            return [each for page in pages for each in page.get("Uploads", ()) if each["Key"] == self._at["Key"]]

    def _arrived(self, upload: str) -> dict[int, Arrived]:
        with self._spoken("list the parts of an upload"):
            pages = self._client.get_paginator("list_parts").paginate(**self._at, UploadId=upload)
            return {
                each["PartNumber"]: Arrived(each["Size"], each["ETag"], each.get("ChecksumSHA256"))
                for page in pages
                for each in page.get("Parts", ())
            }

    def _abandon(self, upload: str) -> None:
        with self._spoken("give up an upload"):
            self._client.abort_multipart_upload(**self._at, UploadId=upload)


class Entry(NamedTuple):
    """A part in the list of which an object is made.

    Args:
        part: it.
        etag: by which the store names it.
        sent: bytes that were sent of it now.
        confirmed: whether the store has said its sha256 when it was sent; None: it was not.
    """

    part: Part
    etag: str
    sent: int = 0
    confirmed: bool | None = None


def listed(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The list as S3 takes it: with each sha256, or, of stores that know none, without."""
    with_sha256 = all(entry.confirmed is not False for entry in entries)
    return [
        {
            "PartNumber": entry.part.number,
            "ETag": entry.etag,
            **({"ChecksumSHA256": entry.part.sha256} if with_sha256 else {}),
        }
        for entry in entries
    ]


def repeated(send: Callable[[], R]) -> R:
    """What comes of sending something, once more where it was spoilt on the way: boto3 repeats what did not arrive, and not this."""
    try:
        return send()
    except StoreError as error:
        if error.lasting:
            raise
        return send()


def base64_of(digest: bytes) -> str:
    """A digest as S3 writes it."""
    return b64encode(digest).decode()
